import { expect, test } from 'vitest';
import { boundOf, rowsOf } from './rows.ts';

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
