import { expect, test } from 'vitest';
import { boundOf, ratioText, rowsOf } from './rows.ts';

const PEAKS = { gflopsF32: 100, copyGBps: 10 };

/** What `percentOfPeak` says of a run of 2 ms. */
function percentOf(cost: { flops: number; bytes: number }, copyGBps?: number): number | null {
  const contender = {
    ...{ peer: 'dwm', formulation: 'dwm', runsOn: 'shared' as const },
    prepare: () => Promise.reject(new Error('not run')),
  };
  const measurements = [{ contender, error: 0, reason: undefined, samples: [2] }];
  const [row] = rowsOf({ suite: 's', workload: 'w', cost, measurements, copyGBps }, 'adapter', PEAKS);
  expect(row.bound).toBe(boundOf(cost, PEAKS));
  return row.percentOfPeak;
}

test('what is bound by memory is compared with the copy in its turns, all else with the peaks', () => {
  const memory = { flops: 1e6, bytes: 10e6 };
  expect(boundOf(memory, PEAKS)).toBe('memory');
  expect(percentOf(memory, 8)).toBeCloseTo(62.5);
  expect(percentOf(memory)).toBeCloseTo(50);
  const compute = { flops: 150e6, bytes: 1e6 };
  expect(boundOf(compute, PEAKS)).toBe('compute');
  expect(percentOf(compute, 0.1)).toBeCloseTo(75);
});

/** The row of a peer whose turns took `peer` where ours took `ours`. */
function beside(ours: readonly number[], peer: readonly number[], runsOn: 'shared' | 'cpu' = 'shared') {
  const measurements = [ours, peer].map((samples, i) => ({
    contender: {
      ...{ peer: i === 0 ? 'dwm' : 'peer', formulation: 'only', runsOn: i === 0 ? 'shared' : runsOn },
      prepare: () => Promise.reject(new Error('not run')),
    },
    ...{ error: 0, reason: undefined, samples },
  }));
  const cost = { flops: 1, bytes: 1 };
  return rowsOf({ suite: 's', workload: 'w', cost, measurements }, 'adapter', PEAKS)[1];
}

test('a ratio is taken turn by turn, so that what slows a turn down slows down both', () => {
  const machine = [1, 9, 2, 1, 7, 3, 1, 1];
  const row = beside(
    machine,
    machine.map((ms) => 2 * ms),
  );
  expect(row).toMatchObject({ ratio: 2, ratioInterval: [2, 2] });
  expect(ratioText(row)).toBe('2.00x (2.00 to 2.00)');
});

test('a ratio whose interval holds 1 is undecided', () => {
  const row = beside([2, 2, 2, 2, 2, 2], [1.6, 2.2, 2.4, 2.4, 2.4, 3]);
  expect(row.ratio).toBeCloseTo(1.2);
  expect(ratioText(row)).toBe('undecided (0.80 to 1.50)');
  expect(ratioText(beside([2, 2, 2, 2, 2, 2], [2.1, 2.2, 2.4, 2.4, 2.4, 3]))).toBe('1.20x (1.05 to 1.50)');
});

test('of a peer that ran in one turn only, the interval is as wide as ours', () => {
  const row = beside([1, 2, 2, 2, 2, 4], [10]);
  expect(row).toMatchObject({ ratio: 5, ratioInterval: [2.5, 10] });
});

test('who ran in turns of its own is not compared turn by turn, however many there were', () => {
  const row = beside([1, 2, 2, 2, 2, 4], [4, 4, 4, 4, 4, 8], 'cpu');
  expect(row).toMatchObject({ ratio: 2, ratioInterval: [1, 8] });
  expect(beside([1, 2, 2, 2, 2, 4], [4, 4, 4, 4, 4, 8]).ratioInterval).toEqual([2, 4]);
});
