/** Runs the bundled test files one after another and tells the harness what became of each test. */
import { type Suite, startTests, type Task, type Test, type VitestRunner } from '@vitest/runner';
import type { TestResult } from '../run-tests.ts';
import { NotInBrowser } from './node-doors.ts';

declare global {
  interface Window {
    reportTest(result: TestResult): Promise<void>;
    reportEnd(): Promise<void>;
  }
}

const fullName = (task: Task): string =>
  task.suite && task.suite !== task.file ? `${fullName(task.suite)} > ${task.name}` : task.name;

const testsOf = (suite: Suite): Test[] =>
  suite.tasks.flatMap((task) => (task.type === 'suite' ? testsOf(task) : [task]));

function outcomeOf(test: Test): TestResult {
  const { result } = test;
  const { state, errors } = result ?? {};
  const skipped = (state !== 'pass' && state !== 'fail') || errors?.[0]?.name === 'NotInBrowser';
  return {
    file: test.file.filepath,
    name: fullName(test),
    outcome: skipped ? 'skipped' : state === 'pass' ? 'passed' : 'failed',
    reason:
      state === 'pass'
        ? ''
        : line(
            errors?.[0] ?? {
              message: (result as { note?: string } | undefined)?.note ?? 'by the test itself',
            },
          ),
  };
}

const line = (error: { message?: string } | undefined) => (error?.message ?? 'unknown').split('\n')[0];

export async function run(files: Record<string, () => Promise<unknown>>): Promise<void> {
  let unavailable: string | undefined;
  const runner: VitestRunner = {
    config: {
      root: '/',
      setupFiles: [],
      name: undefined,
      passWithNoTests: true,
      testNamePattern: undefined,
      allowOnly: false,
      sequence: { seed: 0, hooks: 'stack', setupFiles: 'list' },
      chaiConfig: undefined,
      maxConcurrency: 1,
      testTimeout: 120_000,
      hookTimeout: 120_000,
      retry: 0,
      includeTaskLocation: false,
      tags: [],
      tagsFilter: undefined,
      strictTags: false,
    },
    async importFile(path) {
      await files[path]().catch((error) => {
        if (!(error instanceof NotInBrowser)) throw error;
        unavailable = error.message;
      });
    },
  } as VitestRunner;
  for (const path of Object.keys(files)) {
    unavailable = undefined;
    const [file] = await startTests([path], runner);
    for (const test of testsOf(file)) await window.reportTest(outcomeOf(test));
    const error = unavailable ?? file.result?.errors?.[0]?.message;
    if (error !== undefined) {
      const outcome = unavailable === undefined ? 'failed' : 'skipped';
      await window.reportTest({ file: path, name: 'the file', outcome, reason: line({ message: error }) });
    }
  }
  await window.reportEnd();
}
