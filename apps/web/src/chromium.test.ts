/** The engine in Chromium: the golden run of the whole model, and tests of kernels and programs as they are in Node. */
import { expect, test } from 'vitest';
import { findChromium, NO_CHROMIUM } from '../../../tools/chromium/browser.ts';
import { runInChromium } from '../../../tools/chromium/run-tests.ts';

const FILES = [
  'packages/core-tensor/src/program.test.ts',
  'packages/core-tensor/src/ops/rotary.test.ts',
  'packages/core-tensor/src/ops/group-norm.test.ts',
  'packages/dwm-model/tests/golden.test.ts',
];

test('golden cases pass in Chromium as they do in Node', async (context) => {
  if (!findChromium()) return context.skip(NO_CHROMIUM);
  const results = await runInChromium(FILES);
  expect(results.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  const passed = results.filter(({ outcome }) => outcome === 'passed');
  expect([...new Set(passed.map(({ file }) => file))].sort()).toEqual([...FILES].sort());
  expect(passed.map(({ name }) => name)).toContain(
    'the whole pipeline equals the original on the golden run',
  );
}, 300_000);
