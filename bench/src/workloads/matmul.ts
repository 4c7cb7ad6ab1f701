/**
 * Matrix products: a [m, k] times b [k, n]; or, as a linear layer of the network, times a weight b stored [n, k],
 * plus a bias [n].
 */
import { matmulReference } from '@dwm/kernels-wgsl/testing';
import { type Family, sampleOf } from './workload.ts';

export interface Matmul {
  readonly op: 'matmul';
  readonly m: number;
  readonly k: number;
  readonly n: number;
  /** b is a layer's weight [n, k], and there is a bias. */
  readonly linear: boolean;
}

const ROWS = 24;

export const matmulFamily: Family<Matmul> = {
  inputs: ({ m, k, n, linear }) => ({ a: [m, k], ...(!linear && { b: [k, n] }) }),
  weights: ({ k, n, linear }) => ({ ...(linear && { b: [n, k], bias: [n] }) }),
  output: ({ m, n }) => [m, n],
  flops: ({ m, k, n }) => 2 * m * k * n,
  expected({ m, k, n, linear }, { a, b, bias }, random) {
    const rows = sampleOf(m, ROWS, random);
    const chosen = Float32Array.from(
      { length: rows.length * k },
      (_, i) => a[rows[Math.floor(i / k)] * k + (i % k)],
    );
    const shape = { batch: 1, m: rows.length, n, k, transposeA: false, transposeB: linear, sharedB: true };
    const values = matmulReference(shape, chosen, b);
    return {
      at: rows.flatMap((row) => Array.from({ length: n }, (_, j) => row * n + j)),
      values: Array.from(values, (value, i) => value + (linear ? bias[i % n] : 0)),
    };
  },
};
