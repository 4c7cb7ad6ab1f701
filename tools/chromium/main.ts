/**
 * The packages' own tests in Chromium:
 *
 *     npm run test:chromium -- [FILE...]
 *
 * Without files, every test of core-tensor and dwm-model that needs a device or the golden run, and nothing of Node's.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findChromium, NO_CHROMIUM } from './browser.ts';
import { ROOT } from './bundle.ts';
import { runInChromium } from './run-tests.ts';

const FOLDERS = [
  'packages/core-tensor/src/ops',
  'packages/core-tensor/src/grad',
  'packages/kernels-wgsl/src/pointwise',
];
const FILES = ['packages/core-tensor/src/program.test.ts', 'packages/dwm-model/tests/golden.test.ts'];

const everything = () => [
  ...FILES,
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => join(folder, name)),
  ),
];

if (!findChromium()) {
  console.log(NO_CHROMIUM);
  process.exit(0);
}
const chosen = process.argv.slice(2);
const signs = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' };
const results = await runInChromium(
  chosen.length > 0 ? chosen : everything(),
  ({ file, name, outcome, reason }) => {
    console.log(`${signs[outcome]} ${file}: ${name}${reason && ` (${reason})`}`);
  },
);
const count = (outcome: string) => results.filter((result) => result.outcome === outcome).length;
console.log(`${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`);
process.exitCode = count('failed') > 0 || results.length === 0 ? 1 : 0;
