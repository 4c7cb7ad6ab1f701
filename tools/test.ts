/**
 * Everything that must hold, in one command: lint, types, docstrings, the packages' tests on the default adapter,
 * their tarballs in an empty folder, damaged files, the golden cases on a GPU where there is one, on lavapipe and
 * SwiftShader, and what runs on matrix units on the driver of `tools/mesa26`. What failed is named once more at the
 * end, and the last line counts it all: `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { describeAdapter } from '@dwm/core-tensor/node';

/** The part of vitest's JSON report that is read here. */
interface Report {
  readonly numPassedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
      readonly duration?: number;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

// What tests leave behind goes with the run.
const temporary = await mkdtemp(join(tmpdir(), 'dwm-tests-'));
process.env.TMPDIR = temporary;
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));

let passed = 0;
let skipped = 0;
/** A line for each. */
const failures: string[] = [];

const linesOf = (text: string) =>
  stripVTControlCharacters(text)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

const fail = (what: string, why: string) =>
  failures.push(`${what}: ${linesOf(why)[0]?.slice(0, 300) ?? 'no message'}`);

/** Whether more than one command runs: what each prints is then shown when it ends. */
let together = false;

async function sideBySide(...tasks: readonly (() => Promise<void>)[]): Promise<void> {
  together = true;
  await Promise.all(tasks.map((task) => task()));
  together = false;
}

/**
 * Runs one of our dependencies' commands, or a script by its path, with its output shown; gives back its exit code and
 * what it printed.
 */
function run(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const line = `\n$ ${[command, ...args].join(' ')}\n`;
  const shown = !together;
  process.stdout.write(shown ? line : `${line}beside others\n`);
  return new Promise((resolve) => {
    const child = spawn(command.includes('/') ? command : join('node_modules/.bin', command), args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const printed = (stream: 'stdout' | 'stderr') => {
      const chunks: Buffer[] = [];
      child[stream].on('data', (chunk: Buffer) => {
        if (shown) process[stream].write(chunk);
        chunks.push(chunk);
      });
      return () => Buffer.concat(chunks).toString();
    };
    const [stdout, stderr] = [printed('stdout'), printed('stderr')];
    child.on('close', (code) => {
      const printed = { stdout: stdout(), stderr: stderr() };
      if (!shown) {
        process.stdout.write(line + printed.stdout);
        process.stderr.write(printed.stderr);
      }
      resolve({ code: code ?? 1, ...printed });
    });
  });
}

async function check(name: string, command: string, args: string[]): Promise<void> {
  const { code, stdout, stderr } = await run(command, args);
  if (code === 0) passed++;
  else fail(name, stderr + stdout);
}

/** Where each package's vitest run leaves its report. */
async function reports(): Promise<string[]> {
  const folders = await Promise.all(
    ['packages', 'apps'].map(async (parent) => (await readdir(parent)).map((name) => join(parent, name))),
  );
  return [...folders.flat(), 'bench'].map((folder) => join(folder, 'out', 'vitest.json'));
}

/** Adds the report of a package; one that left none has failed. */
async function addReport(path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) {
    fail(path, 'is missing: the tests of this package ended before they could be counted');
    return;
  }
  const report: Report = JSON.parse(text);
  passed += report.numPassedTests;
  skipped += report.numPendingTests + report.numTodoTests;
  for (const { name, status, message, assertionResults } of report.testResults) {
    const file = relative('.', name);
    if (status === 'failed' && assertionResults.length === 0) fail(file, message);
    for (const { ancestorTitles, title, duration, failureMessages, ...test } of assertionResults) {
      if (test.status !== 'failed') continue;
      // Of a test that ran out of time the report has the stack only, under this name.
      const error =
        failureMessages[0]?.replace('STACK_TRACE_ERROR', `timed out after ${Math.round(duration ?? 0)} ms`) ??
        '';
      const line = error.split(`${file}:`)[1]?.match(/^\d+/)?.[0];
      fail([line ? `${file}:${line}` : file, ...ancestorTitles, title].join(' > '), error);
    }
  }
}

async function packages(): Promise<void> {
  const files = await reports();
  for (const file of files) await rm(file, { force: true });
  const tests = ['run', 'test', '--concurrency=1', '--continue', '--output-logs=full'];
  const { code, stdout } = await run('turbo', tests, { TURBO_TELEMETRY_DISABLED: '1' });
  const before = failures.length;
  for (const file of files) await addReport(file);
  // As after an error outside of any test.
  if (code !== 0 && failures.length === before)
    fail('packages', linesOf(stdout).find((line) => /\berror\b/i.test(line)) ?? `exit code ${code}`);
}

async function fixtures(): Promise<void> {
  const here: string[] = [];
  // One after the other: the question for SwiftShader changes the environment while it is asked.
  for (const adapter of ['hardware', 'lavapipe', 'swiftshader'] as const) {
    if (await describeAdapter(adapter)) {
      here.push(adapter);
    } else if (adapter !== 'hardware') {
      // A machine without a GPU lacks nothing that it could have.
      process.stdout.write(`\n${adapter} is not here: golden cases on it are skipped\n`);
      skipped++;
    }
  }
  await sideBySide(
    ...here.map((adapter) => async () => {
      const ran = await run('tsx', ['tools/test-fixtures.ts'], { DWM_ADAPTER: adapter });
      addGolden(`golden cases on ${adapter}`, ran);
    }),
  );
}

/** Counts what a run of the golden cases printed. */
function addGolden(what: string, { code, stdout }: { code: number; stdout: string }): void {
  const lines = linesOf(stdout);
  const last = lines.at(-1) ?? '';
  const counts = /^(\d+) passed, \d+ failed(?:, (\d+) skipped)?$/.exec(last);
  passed += Number(counts?.[1] ?? 0);
  skipped += Number(counts?.[2] ?? 0);
  const before = failures.length;
  let title = '';
  for (const line of lines) {
    title = /^\[\d+\/\d+\] (.+)/.exec(line)?.[1] ?? title;
    const why = /^FAIL (.+)/.exec(line)?.[1];
    if (why) fail(`${what} > ${title}`, why);
  }
  // As after a crash, or where there was nothing to run.
  if (!counts || (code !== 0 && failures.length === before))
    fail(what, (counts ? lines.at(-2) : last) ?? `exit code ${code}`);
}

/** Small cases with matrix products, attention and convolutions: each takes kernels that a driver compiles for long. */
const MATRIX_CASES = ['transformer_rope', 'vae'];

/** Ops and golden cases on matrix units, which the driver has that `tools/mesa26` unpacks. */
async function matrixUnits(): Promise<void> {
  const what = 'matrix units';
  if (!existsSync(join(process.env.MESA26_ROOT || join(homedir(), '.cache/mesa26'), 'lvp_icd.json'))) {
    process.stdout.write(
      '\nskipped, no device with matrix units; `tools/mesa26 true` unpacks a driver that has them\n',
    );
    skipped++;
    return;
  }
  const report = 'out/matrix-units.json';
  await rm(report, { force: true });
  const ops = await run('tools/mesa26', [
    'node_modules/.bin/vitest',
    ...['run', 'packages/core-tensor/src/ops/matrix-units.test.ts'],
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
  ]);
  await addReport(report);
  const cases = ['--only', MATRIX_CASES.join(), '--precision', 'f16'];
  const golden = await run('tools/mesa26', ['node_modules/.bin/tsx', 'tools/test-fixtures.ts', ...cases], {
    DWM_ADAPTER: 'lavapipe',
  });
  addGolden(`golden cases on ${what}`, golden);
  for (const [name, { stdout }] of Object.entries({ ops, golden })) {
    if (/^[1-9]\d* matrix kernels ran on /m.test(stripVTControlCharacters(stdout))) continue;
    // There is no shared data, which is said.
    if (name === 'golden' && stdout.includes('skipped, no shared data')) continue;
    fail(`${what}: ${name}`, 'no kernel for matrix units ran');
  }
}

/** Damaged files for every reader, the same ones every time. */
async function fuzz(): Promise<void> {
  const { code, stdout, stderr } = await run('tsx', [
    'tools/fuzz/main.ts',
    '--count',
    '20000',
    '--seed',
    '1',
  ]);
  const lines = linesOf(stdout);
  const counts = /^(\d+) passed, \d+ failed$/.exec(lines.at(-1) ?? '');
  passed += Number(counts?.[1] ?? 0);
  const found = lines.filter((line) => line.startsWith('FAIL '));
  for (const line of found) fail('fuzz', line);
  if (code !== 0 && found.length === 0) fail('fuzz', stderr || `exit code ${code}`);
}

await sideBySide(
  () => check('lint', 'biome', ['check', '.']),
  () => check('types', 'tsc', ['-p', '.']),
  () => check('docstrings', 'tsx', ['tools/api/undocumented.ts']),
);
await packages();
await sideBySide(() => check('tarballs', 'tsx', ['tools/pack/check.ts']), fuzz);
await fixtures();
await matrixUnits();
process.stdout.write(`\n${failures.map((line) => `FAILED ${line}\n`).join('')}`);
process.stdout.write(`${passed} passed, ${failures.length} failed, ${skipped} skipped\n`);
process.exit(failures.length === 0 ? 0 : 1);
