/** Softmax over the last dimension of x [rows, columns]. */
import { type Family, sampleOf } from './workload.ts';

export interface Softmax {
  readonly op: 'softmax';
  readonly rows: number;
  readonly columns: number;
}

const ROWS = 64;

export const softmaxFamily: Family<Softmax> = {
  inputs: ({ rows, columns }) => ({ x: [rows, columns] }),
  weights: () => ({}),
  output: ({ rows, columns }) => [rows, columns],
  flops: ({ rows, columns }) => 5 * rows * columns,
  expected({ rows, columns }, { x }, random) {
    const chosen = sampleOf(rows, ROWS, random);
    const values = chosen.flatMap((row) => {
      const own = Array.from(x.subarray(row * columns, (row + 1) * columns));
      const maximum = Math.max(...own);
      const weights = own.map((value) => Math.exp(value - maximum));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return weights.map((weight) => weight / total);
    });
    return {
      at: chosen.flatMap((row) => Array.from({ length: columns }, (_, c) => row * columns + c)),
      values,
    };
  },
};
