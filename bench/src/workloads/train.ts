/**
 * A training step of one block of the transformer: forward, backward and AdamW for every weight of `block.ts`.
 *
 *     loss = sum((block(x) - target)²) / (2 tokens)
 *
 * Every step starts from the same weights and moments, so that runs can be compared and repeated; what is checked
 * is how far it moves the weights, which shows every element of every gradient. In float64 the gradients come from
 * the kernels' own references, put together by the chain rule.
 */
import {
  attentionBackwardReference,
  attentionReference,
  layerNormBackwardReference,
  layerNormReference,
  matmulReference,
} from '@dwm/kernels-wgsl/testing';
import { normals } from '../random.ts';
import { blockFamily, HEAD_DIM, QK_EPS } from './block.ts';
import { LAYER_NORM_EPS } from './layer-norm.ts';
import { type Arrays, type Cost, count, type Expected, type Shape } from './workload.ts';

export interface TrainTask {
  readonly tokens: number;
  readonly heads: number;
}

/** Of the tenth step of a run: the bias corrections are not at their limits yet. */
export const ADAMW = {
  learningRate: 1e-2,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.01,
  step: 10,
} as const;

export interface TrainData {
  /** Sets of x and target to rotate through. */
  readonly batches: readonly Arrays[];
  readonly weights: Arrays;
  /** Second moments; the first are zero, so that the new ones are the gradients. */
  readonly squares: Arrays;
}

const asBlock = ({ tokens, heads }: TrainTask) => ({ op: 'block', tokens, heads }) as const;

/** Shapes of a batch. */
export const batchShapes = ({ tokens, heads }: TrainTask): Readonly<Record<'x' | 'target', Shape>> => ({
  x: [tokens, heads * HEAD_DIM],
  target: [tokens, heads * HEAD_DIM],
});

export const weightShapes = (task: TrainTask): Readonly<Record<string, Shape>> =>
  blockFamily.weights(asBlock(task));

export function trainData(task: TrainTask, sets: number, random: () => number): TrainData {
  const map = (shapes: Readonly<Record<string, Shape>>, draw: (name: string, shape: Shape) => Float32Array) =>
    Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, draw(name, shape)]));
  const drawn = (_: string, shape: Shape) => normals(count(shape), random);
  return {
    batches: Array.from({ length: sets }, () => map(batchShapes(task), drawn)),
    weights: map(weightShapes(task), (name, shape) => {
      const scale = shape.length > 1 ? 1 / Math.sqrt(shape[1]) : 0.3;
      const centre = name.endsWith('gamma') ? 1 : 0;
      return normals(count(shape), random).map((value) => centre + scale * value);
    }),
    squares: map(weightShapes(task), (_, shape) =>
      Float32Array.from({ length: count(shape) }, () => 1e-3 * (0.5 + random())),
    ),
  };
}

/** A backward pass is twice a forward one; the optimizer's work does not count beside them. */
export function trainCost(task: TrainTask): Cost {
  const size = (shapes: Readonly<Record<string, Shape>>) =>
    Object.values(shapes).reduce((sum, shape) => sum + count(shape), 0);
  return {
    flops: 3 * blockFamily.flops(asBlock(task)),
    // Weights and both moments are read and written.
    bytes: 4 * (size(batchShapes(task)) + 6 * size(weightShapes(task))),
  };
}

/** How far a step moves each weight, all in the order of `weightShapes`. */
export function expectedMoves(task: TrainTask, { batches, weights, squares }: TrainData): Expected {
  const { gradients } = lossGradients(task, batches[0], weights);
  const { learningRate, beta1, beta2, eps, weightDecay, step } = ADAMW;
  const values = Object.keys(weightShapes(task)).flatMap((name) =>
    Array.from(gradients[name], (g, i) => {
      const m = ((1 - beta1) * g) / (1 - beta1 ** step);
      const v = (beta2 * squares[name][i] + (1 - beta2) * g * g) / (1 - beta2 ** step);
      return -learningRate * (weightDecay * weights[name][i] + m / (Math.sqrt(v) + eps));
    }),
  );
  return { at: [...values.keys()], values };
}

/** What `expectedMoves` says, of a result: new weights, in the order of `weightShapes`. */
export function movesOf(task: TrainTask, { weights }: TrainData, updated: Arrays): Float32Array {
  const names = Object.keys(weightShapes(task));
  const out = new Float32Array(names.reduce((sum, name) => sum + weights[name].length, 0));
  let at = 0;
  for (const name of names)
    for (const [i, value] of weights[name].entries()) out[at++] = updated[name][i] - value;
  return out;
}

/** In float64: the loss, and its gradient for every weight. */
export function lossGradients(
  { tokens, heads }: TrainTask,
  { x, target }: Arrays,
  w: Arrays,
): { loss: number; gradients: Record<string, Float64Array> } {
  const dim = heads * HEAD_DIM;
  const gradients: Record<string, Float64Array> = {};

  const linear = (input: Float64Array, name: string) => {
    const [n, k] = [w[`${name}.bias`].length, w[`${name}.weight`].length / w[`${name}.bias`].length];
    const out = product(input, w[`${name}.weight`], input.length / k, n, k).map(
      (value, i) => value + w[`${name}.bias`][i % n],
    );
    const back = (g: Float64Array) => {
      const rows = g.length / n;
      gradients[`${name}.bias`] = columnSums(g, n);
      gradients[`${name}.weight`] = product(transposed(g, rows, n), transposed(input, rows, k), n, k, rows);
      return product(g, transposed(w[`${name}.weight`], n, k), rows, k, n);
    };
    return { out, back };
  };
  const norm = (input: ArrayLike<number>, name: string, width: number, eps: number) => {
    const affine = { gamma: w[`${name}.gamma`], beta: w[`${name}.beta`] };
    const out = layerNormReference(input, width, { eps, center: true, ...affine });
    const back = (g: Float64Array) => {
      const { dx, dgamma, dbeta } = layerNormBackwardReference(input, g, width, {
        eps,
        center: true,
        ...affine,
      });
      gradients[`${name}.gamma`] = dgamma;
      gradients[`${name}.beta`] = dbeta;
      return dx;
    };
    return { out, back };
  };
  const modulated = (input: ArrayLike<number>, name: string) => {
    const normed = norm(input, name, dim, LAYER_NORM_EPS);
    const [scale, shift] = [w[`${name}.scale`], w[`${name}.shift`]];
    const out = normed.out.map((value, i) => value * (1 + scale[i % dim]) + shift[i % dim]);
    const back = (g: Float64Array) => {
      gradients[`${name}.shift`] = columnSums(g, dim);
      gradients[`${name}.scale`] = columnSums(times(g, normed.out), dim);
      return normed.back(g.map((value, i) => value * (1 + scale[i % dim])));
    };
    return { out, back };
  };
  const gated = (base: ArrayLike<number>, branch: Float64Array, name: string) => {
    const gate = w[`${name}.gate`];
    const out = branch.map((value, i) => base[i] + gate[i % dim] * value);
    const back = (g: Float64Array) => {
      gradients[`${name}.gate`] = columnSums(times(g, branch), dim);
      return g.map((value, i) => value * gate[i % dim]);
    };
    return { out, back };
  };

  const a = modulated(x, 'norm1');
  const [q, k, v] = ['q', 'k', 'v'].map((name) => linear(a.out, name));
  const [normQ, normK] = [norm(q.out, 'normQ', HEAD_DIM, QK_EPS), norm(k.out, 'normK', HEAD_DIM, QK_EPS)];
  const spec = { batch: 1, queries: tokens, keys: tokens, heads, headDim: HEAD_DIM, mask: false };
  const scaled = { ...spec, scale: 1 / Math.sqrt(HEAD_DIM) };
  const values = { q: normQ.out, k: normK.out, v: v.out };
  const projected = linear(attentionReference(scaled, values).out, 'out');
  const h = gated(x, projected.out, 'norm1');
  const b = modulated(h.out, 'norm2');
  const wide = linear(b.out, 'wide');
  const narrow = linear(
    wide.out.map((value) => geluTanh(value)),
    'narrow',
  );
  const y = gated(h.out, narrow.out, 'norm2');
  const error = y.out.map((value, i) => value - target[i]);
  const loss = error.reduce((sum, e) => sum + e * e, 0) / (2 * tokens);

  const dy = error.map((e) => e / tokens);
  const dActive = narrow.back(y.back(dy));
  const dWide = dActive.map((g, i) => g * geluTanhSlope(wide.out[i]));
  const dh = plus(dy, b.back(wide.back(dWide)));
  const dAttended = projected.back(h.back(dh));
  const { dq, dk, dv } = attentionBackwardReference(scaled, values, dAttended);
  a.back(plus(plus(q.back(normQ.back(dq)), k.back(normK.back(dk))), v.back(dv)));
  return { loss, gradients };
}

const times = (a: Float64Array, b: ArrayLike<number>) => a.map((value, i) => value * b[i]);
const plus = (a: Float64Array, b: ArrayLike<number>) => a.map((value, i) => value + b[i]);

/** a [m, k] times the transpose of b [n, k]. */
const product = (a: ArrayLike<number>, b: ArrayLike<number>, m: number, n: number, k: number) =>
  matmulReference({ batch: 1, m, n, k, transposeA: false, transposeB: true, sharedB: true }, a, b);

function transposed(x: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = x[r * columns + c];
  return out;
}

function columnSums(x: Float64Array, columns: number): Float64Array {
  const out = new Float64Array(columns);
  for (const [i, value] of x.entries()) out[i % columns] += value;
  return out;
}

const GELU = Math.sqrt(2 / Math.PI);
const geluTanh = (v: number) => (v / 2) * (1 + Math.tanh(GELU * (v + 0.044715 * v ** 3)));
function geluTanhSlope(v: number): number {
  const t = Math.tanh(GELU * (v + 0.044715 * v ** 3));
  return (1 + t) / 2 + (v / 2) * (1 - t * t) * GELU * (1 + 3 * 0.044715 * v * v);
}
