/**
 * Everything that must hold, in one command: lint, types, the packages' tests on the default adapter, and the
 * golden cases on lavapipe and on SwiftShader. The last line counts it all: `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { access, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describeAdapter } from '@dwm/core-tensor/node';

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

const total: Count = { passed: 0, failed: 0, skipped: 0 };
const add = ({ passed, failed, skipped }: Count) => {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
};

/** Runs a command with its output shown, and gives back its exit code and its last output line. */
function run(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; last: string }> {
  process.stdout.write(`\n$ ${[command, ...args].join(' ')}\n`);
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let last = '';
    child.stdout.on('data', (chunk: Buffer) => {
      process.stdout.write(chunk);
      const lines = (last + chunk.toString()).trimEnd().split('\n');
      last = lines[lines.length - 1];
    });
    child.on('close', (code) => resolve({ code: code ?? 1, last }));
  });
}

async function check(name: string, command: string, args: string[]): Promise<void> {
  const { code } = await run(command, args);
  if (code !== 0) process.stdout.write(`${name} failed\n`);
  add({ passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 });
}

/** Where each package's vitest run leaves its report. */
async function reports(): Promise<string[]> {
  const folders = await Promise.all(
    ['packages', 'apps'].map(async (parent) => (await readdir(parent)).map((name) => join(parent, name))),
  );
  return [...folders.flat(), 'bench'].map((folder) => join(folder, 'out', 'vitest.json'));
}

/** Sums the reports of all packages; one that left none has failed. */
async function vitestCounts(files: readonly string[]): Promise<Count> {
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) {
    const present = await access(file).then(
      () => true,
      () => false,
    );
    if (!present) {
      process.stdout.write(`${file} is missing\n`);
      count.failed++;
      continue;
    }
    const report = JSON.parse(await readFile(file, 'utf8'));
    count.passed += report.numPassedTests;
    count.failed += report.numFailedTests + report.testResults.filter(failedToLoad).length;
    count.skipped += report.numPendingTests + report.numTodoTests;
  }
  return count;
}

const failedToLoad = (file: { status: string; assertionResults: unknown[] }) =>
  file.status === 'failed' && file.assertionResults.length === 0;

async function fixtures(adapter: 'lavapipe' | 'swiftshader'): Promise<void> {
  if (!(await describeAdapter(adapter))) {
    process.stdout.write(`\n${adapter} is not here: golden cases on it are skipped\n`);
    add({ passed: 0, failed: 0, skipped: 1 });
    return;
  }
  const { code, last } = await run('npx', ['tsx', 'tools/test-fixtures.ts'], { DWM_ADAPTER: adapter });
  const match = /(\d+) passed, (\d+) failed(?:, (\d+) skipped)?/.exec(last);
  const [passed, failed, skipped] = (match?.slice(1) ?? [0, 1, 0]).map((n) => Number(n ?? 0));
  add({ passed, failed: failed === 0 && code !== 0 ? 1 : failed, skipped });
}

await check('lint', 'npx', ['biome', 'check', '.']);
await check('types', 'npx', ['tsc', '-p', '.']);
const files = await reports();
for (const file of files) await rm(file, { force: true });
const tests = await run(
  'npx',
  ['turbo', 'run', 'test', '--concurrency=1', '--continue', '--output-logs=full'],
  {
    TURBO_TELEMETRY_DISABLED: '1',
  },
);
const counted = await vitestCounts(files);
add({ ...counted, failed: tests.code !== 0 && counted.failed === 0 ? 1 : counted.failed });
await fixtures('lavapipe');
await fixtures('swiftshader');
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exit(total.failed === 0 ? 0 : 1);
