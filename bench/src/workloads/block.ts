/**
 * One block of the diffusion transformer on x [tokens, dim], heads of 64: norm, modulation, self-attention with
 * normalized queries and keys, gate, residual; norm, modulation, feed-forward with tanh-GELU, gate, residual.
 * Left out of the network's own: rotary positions, and the second set of modulations for text.
 */
import { attentionReference, layerNormReference, matmulReference } from '@dwm/kernels-wgsl/testing';
import { LAYER_NORM_EPS } from './layer-norm.ts';
import { type Arrays, type Family, type Shape, sampleOf } from './workload.ts';

export interface Block {
  readonly op: 'block';
  readonly tokens: number;
  readonly heads: number;
}

export const HEAD_DIM = 64;
export const QK_EPS = 1e-6;
const ROWS = 8;

export const blockFamily: Family<Block> = {
  inputs: ({ tokens, heads }) => ({ x: [tokens, heads * HEAD_DIM] }),
  weights({ heads }) {
    const dim = heads * HEAD_DIM;
    const shapes: Record<string, Shape> = {};
    for (const name of ['norm1', 'norm2']) {
      for (const part of ['gamma', 'beta', 'shift', 'scale', 'gate']) shapes[`${name}.${part}`] = [dim];
    }
    for (const name of ['normQ', 'normK'])
      Object.assign(shapes, { [`${name}.gamma`]: [HEAD_DIM], [`${name}.beta`]: [HEAD_DIM] });
    const linear = (name: string, outputs: number, inputs: number) =>
      Object.assign(shapes, { [`${name}.weight`]: [outputs, inputs], [`${name}.bias`]: [outputs] });
    for (const name of ['q', 'k', 'v', 'out']) linear(name, dim, dim);
    linear('wide', 4 * dim, dim);
    linear('narrow', dim, 4 * dim);
    return shapes;
  },
  output: ({ tokens, heads }) => [tokens, heads * HEAD_DIM],
  flops({ tokens, heads }) {
    const dim = heads * HEAD_DIM;
    return 2 * tokens * dim * dim * 12 + 4 * tokens * tokens * dim;
  },
  expected(task, values, random) {
    const dim = task.heads * HEAD_DIM;
    const rows = sampleOf(task.tokens, ROWS, random);
    return {
      at: rows.flatMap((row) => Array.from({ length: dim }, (_, i) => row * dim + i)),
      values: Array.from(atRows(task, values, rows)),
    };
  },
};

function atRows({ tokens, heads }: Block, values: Arrays, rows: readonly number[]): Float64Array {
  const dim = heads * HEAD_DIM;
  const linear = (x: Float64Array, name: string) => {
    const weight = values[`${name}.weight`];
    const bias = values[`${name}.bias`];
    const [n, k] = [bias.length, weight.length / bias.length];
    const shape = { batch: 1, m: x.length / k, n, k, transposeA: false, transposeB: true, sharedB: true };
    return matmulReference(shape, x, weight).map((value, i) => value + bias[i % n]);
  };
  const norm = (x: ArrayLike<number>, name: string, width: number, eps: number) => {
    const [gamma, beta] = [values[`${name}.gamma`], values[`${name}.beta`]];
    return layerNormReference(x, width, { eps, center: true, gamma, beta });
  };
  const modulated = (x: ArrayLike<number>, name: string) =>
    norm(x, name, dim, LAYER_NORM_EPS).map(
      (value, i) => value * (1 + values[`${name}.scale`][i % dim]) + values[`${name}.shift`][i % dim],
    );
  const chosen = (x: ArrayLike<number>) =>
    Float64Array.from(
      { length: rows.length * dim },
      (_, i) => x[rows[Math.floor(i / dim)] * dim + (i % dim)],
    );
  const residual = (x: Float64Array, y: Float64Array, name: string) =>
    x.map((value, i) => value + values[`${name}.gate`][i % dim] * y[i]);

  const a = modulated(values.x, 'norm1');
  const spec = { batch: 1, queries: rows.length, keys: tokens, heads, headDim: HEAD_DIM };
  const { out } = attentionReference(
    { ...spec, mask: false, scale: 1 / Math.sqrt(HEAD_DIM) },
    {
      q: norm(linear(chosen(a), 'q'), 'normQ', HEAD_DIM, QK_EPS),
      k: norm(linear(a, 'k'), 'normK', HEAD_DIM, QK_EPS),
      v: linear(a, 'v'),
    },
  );
  const x = residual(chosen(values.x), linear(out, 'out'), 'norm1');
  const wide = linear(modulated(x, 'norm2'), 'wide').map(
    (v) => (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),
  );
  return residual(x, linear(wide, 'narrow'), 'norm2');
}
