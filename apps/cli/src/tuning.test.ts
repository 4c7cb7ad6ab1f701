import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { expect, test } from 'vitest';
import { progressLine, tuningTable } from './commands/tune.ts';
import { dwm, ownLines, temporaryFolder } from './testing.ts';
import { tuneSeconds } from './tuning.ts';

test('DWM_TUNE', () => {
  expect(tuneSeconds('')).toBe(5);
  expect(tuneSeconds('0')).toBe(0);
  expect(tuneSeconds('2.5')).toBe(2.5);
  expect(tuneSeconds('off')).toBe('off');
  for (const text of ['-1', 'on', 'Infinity']) expect(() => tuneSeconds(text)).toThrow(InvalidArgumentError);
});

test('the time left is that of the measurements to come, and no more than the budget', () => {
  const key = 'matmul m=8';
  expect(progressLine({ key, done: 0, total: 4 }, 1, 61)).toBe('0 of 4, about 1:00 left: matmul m=8');
  expect(progressLine({ key, done: 1, total: 4 }, 10, 300)).toContain('about 0:30 left');
  expect(progressLine({ key, done: 1, total: 40 }, 10, 60)).toContain('about 0:50 left');
});

test('the table says what was chosen, and what it gains', () => {
  const defaultChoice = { variant: 'lanes', tuning: { rows: 32, columns: 4 } };
  const base = { family: 'matmul', key: 'matmul m=8 n=16', defaultChoice, defaultMs: 3 };
  const faster = { ...base, choice: { variant: 'staged' }, ms: 2 };
  const lines = tuningTable([faster, { ...base, choice: defaultChoice, ms: 3 }], {
    known: 2,
    unmeasured: 0,
  }).split('\n');
  expect(lines).toHaveLength(4);
  expect(lines[0]).toMatch(/^kernel +shape +default +chosen +gain$/);
  expect(lines[1]).toMatch(/^matmul +m=8 n=16 +lanes rows=32 columns=4, 3.00 ms +staged, 2.00 ms +1.50x$/);
  expect(lines[2]).toMatch(/ the default$/);
  expect(lines[3]).toBe('2 known from before; --again measures them too');
  expect(tuningTable([], { known: 0, unmeasured: 0 })).toBe('nothing measured');
});

test('dwm tune: help, bad flags, a model that is not there', { timeout: 180_000 }, async () => {
  const help = await dwm(['tune', '--help']);
  expect(help.code).toBe(0);
  for (const flag of ['--model', '--budget', '--reset', '--again', 'DWM_TUNE'])
    expect(help.stdout).toContain(flag);
  const bad = await dwm(['tune', '--budget', 'soon']);
  expect(bad.code).toBe(1);
  expect(ownLines(bad)).toEqual([expect.stringContaining('--budget')]);
  const missing = await dwm(['tune', '--model', '/nowhere']);
  expect(missing.code).toBe(1);
  expect(ownLines(missing)).toEqual([expect.stringContaining('/nowhere: no such folder')]);
});

test('dwm tune keeps what it measures, goes on where it stopped, and forgets it with --reset', {
  timeout: 180_000,
}, async () => {
  const folder = await temporaryFolder();
  try {
    const env = { XDG_CACHE_HOME: folder };
    const tiny = join(import.meta.dirname, '../../../packages/dwm-model/tests/golden/pipeline_e2e');
    const size = ['--num-frames', '1', '--height', '16', '--width', '16'];
    const tune = async (...args: string[]) => {
      const { code, stdout } = await dwm(['tune', '--json', '--model', tiny, ...size, ...args], { env });
      expect(code).toBe(0);
      return JSON.parse(stdout);
    };
    const first = await tune('--budget', '4');
    expect(first.file).toBe(join(folder, 'dwm', 'tune.json'));
    expect(first.tuned.length).toBeGreaterThan(0);
    expect(first.known).toBe(0);
    const none = await tune('--budget', '0');
    expect(none).toMatchObject({ tuned: [], known: first.tuned.length });
    await tune('--reset');
    expect(await tune('--budget', '0')).toMatchObject({ known: 0 });
  } finally {
    await rm(folder, { recursive: true });
  }
});
