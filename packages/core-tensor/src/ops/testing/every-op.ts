/** An op of every family, of odd sizes: what tests of all kernels go through. */
import type { DType } from '@dwm/kernels-wgsl';
import { grad } from '../../grad/grad.ts';
import { trace } from '../../program.ts';
import type { Tensor, TensorSpec } from '../../tensor.ts';
import { adamw8bit, adamw8bitState } from '../adamw8bit.ts';
import { attention, attentionWithLse } from '../attention.ts';
import { concat, pad } from '../concat.ts';
import { conv3d } from '../conv.ts';
import { depthwiseConv2d } from '../depthwise.ts';
import { embedding } from '../embedding.ts';
import { groupNorm } from '../group-norm.ts';
import { layerNorm, rmsNorm } from '../layer-norm.ts';
import { matmul, quantizedMatmul } from '../matmul.ts';
import { add, exp, geluTanh, mul, silu } from '../pointwise.ts';
import { randomNormal } from '../random.ts';
import { absMax, sum } from '../reduce.ts';
import { resizeLinear } from '../resize.ts';
import { rotary } from '../rotary.ts';
import { softmax } from '../softmax.ts';
import { applyVjp, spec } from '../testing.ts';

export interface EveryOp {
  readonly inputs: Readonly<Record<string, TensorSpec>>;
  readonly make: () => Record<string, Tensor>;
}

export const EVERY_OP: Record<string, EveryOp> = {};
const op = (
  name: string,
  shapes: Record<string, [number[], DType?]>,
  fn: (t: Record<string, Tensor>) => Tensor | Tensor[],
) => {
  const inputs = Object.fromEntries(Object.entries(shapes).map(([key, [s, d]]) => [key, spec(s, d)]));
  const make = () =>
    trace(inputs, (t) => {
      const results = fn(t);
      return Object.fromEntries((Array.isArray(results) ? results : [results]).map((r, i) => [`out${i}`, r]));
    });
  EVERY_OP[name] = { inputs, make };
};

for (const headDim of [16, 36, 64, 128]) {
  const tokens: [number[]] = [[2, 70, 3, headDim]];
  op(`attention ${headDim}`, { q: tokens, k: tokens, v: tokens }, (t) => attentionWithLse(t.q, t.k, t.v));
}
op(
  'attention, biased and masked',
  { q: [[2, 9, 3, 16]], k: [[2, 7, 3, 16]], bias: [[9, 7], 'bf16'], mask: [[2, 7], 'u32'] },
  (t) => attentionWithLse(t.q, t.k, t.k, { bias: t.bias, mask: t.mask }),
);
for (const dtype of ['f32', 'f16', 'bf16'] as const) {
  for (const [inner, outer] of [
    [16, 32],
    [3, 5],
  ]) {
    op(
      `conv ${inner} to ${outer} ${dtype}`,
      { x: [[1, 3, 9, 11, inner]], w: [[3, 3, 3, inner, outer], dtype], cache: [[1, 2, 9, 11, inner]] },
      (t) => silu(conv3d(t.x, t.w, { cache: t.cache, padding: { top: 1, bottom: 1, left: 1, right: 1 } })),
    );
    op(
      `conv 1x1, stride 2, ${inner} ${dtype}`,
      { x: [[1, 3, 9, 11, inner]], w: [[1, 1, 1, inner, outer], dtype] },
      (t) => conv3d(t.x, t.w, { stride: 2 }),
    );
  }
  op(`embedding ${dtype}`, { ids: [[5], 'u32'], table: [[9, 12], dtype] }, (t) => embedding(t.ids, t.table));
  for (const k of [64, 65]) {
    for (const transposeB of [false, true]) {
      op(
        `matmul ${k} ${transposeB} ${dtype}`,
        { a: [[3, 70, k]], b: [transposeB ? [40, k] : [k, 40], dtype], c: [[40], dtype] },
        (t) => geluTanh(add(matmul(t.a, t.b, { transposeB }), t.c)),
      );
    }
  }
}
for (const dtype of ['i8', 'i4', 'e4m3', 'e5m2'] as const) {
  op(`quantized ${dtype}`, { x: [[70, 64]], w: [[40, 64], dtype], scales: [[40, 2], 'f16'] }, (t) =>
    quantizedMatmul(t.x, t.w, t.scales),
  );
}
op('offsets', { x: [[70, 64]], w: [[40, 64], 'i4'], scales: [[40, 2]], offsets: [[40, 2]] }, (t) =>
  quantizedMatmul(t.x, t.w, t.scales, t.offsets),
);
op('norms', { x: [[2, 50, 64]], g: [[64], 'bf16'] }, (t) => [
  layerNorm(t.x, { eps: 1e-5, gamma: t.g, beta: t.g }),
  rmsNorm(t.x, { eps: 1e-5, gamma: t.g }),
  groupNorm(t.x, { groups: 8, eps: 1e-5, gamma: t.g, beta: t.g }),
]);
op('wide norms', { x: [[2, 9, 1024]], g: [[1024], 'bf16'], s: [[2, 1, 1024]] }, (t) => [
  mul(layerNorm(t.x, { eps: 1e-5, gamma: t.g, beta: t.g }), t.s),
  rmsNorm(t.x, { eps: 1e-5, gamma: t.g }),
  ...applyVjp(layerNorm(t.x, { eps: 1e-5, gamma: t.g }), [t.x]).map((g) => g!),
]);
op('softmax', { x: [[70, 226]], y: [[5, 9], 'bf16'] }, (t) => [
  softmax(t.x),
  mul(softmax(t.y), 2),
  applyVjp(softmax(t.x), [t.x])[0]!,
]);
op('depthwise', { x: [[2, 9, 11, 12]], w: [[5, 5, 12]], y: [[1, 9, 11, 3]], v: [[3, 3, 3]] }, (t) => [
  silu(depthwiseConv2d(t.x, t.w, { padding: { top: 2, bottom: 2, left: 2, right: 2 } })),
  depthwiseConv2d(t.y, t.v, { stride: 2 }),
]);
op('rotary', { x: [[1, 9, 2, 8]], cos: [[7, 8]] }, (t) => rotary(t.x, t.cos, t.cos, 2));
op('joins', { x: [[3, 5]], y: [[3, 7]] }, (t) => [concat([t.x, t.y], 1), pad(t.x, 0, 1, 2)]);
op('reductions', { x: [[30, 5, 7]] }, (t) => [sum(t.x, [0, 2]), absMax(t.x, [1])]);
op('resize', { x: [[1, 3, 8, 9, 4]] }, (t) => resizeLinear(t.x, [3, 5, 6]));
op('random', { seed: [[2], 'u32'] }, (t) => randomNormal(t.seed, [9], 0));
op('elementwise', { x: [[9, 5]], y: [[5], 'bf16'] }, (t) => exp(mul(t.x, t.y)));
op('elementwise, whole blocks', { x: [[64, 512]], y: [[1], 'bf16'] }, (t) => exp(mul(t.x, t.y)));
/** Gradients of the sum of squares. */
const gradients = (y: Tensor, wrt: Tensor[]): Tensor[] => {
  const loss = sum(mul(y, y), [...y.shape.keys()]);
  return grad(loss, wrt);
};
op('attention, gradients', { q: [[2, 9, 3, 16]], k: [[2, 7, 3, 16]], v: [[2, 7, 3, 16]] }, (t) =>
  gradients(attention(t.q, t.k, t.v), [t.q, t.k, t.v]),
);
op('conv, gradients', { x: [[1, 3, 9, 11, 5]], w: [[3, 3, 3, 5, 7]], cache: [[1, 2, 9, 11, 5]] }, (t) =>
  gradients(conv3d(t.x, t.w, { cache: t.cache, padding: { top: 1, bottom: 1, left: 1, right: 1 } }), [
    t.x,
    t.w,
  ]),
);
op('embedding, gradients', { ids: [[135], 'u32'], table: [[137, 12]] }, (t) =>
  gradients(embedding(t.ids, t.table), [t.table]),
);
const moments = adamw8bitState(5500);
op(
  'adamw8bit',
  {
    ...{ theta: [[5500]], gradient: [[5500]], scalars: [[4]] },
    ...{ codes: [[...moments.codes.shape], 'u32'], maxima: [[...moments.maxima.shape]] },
  },
  (t) => {
    const rates = { beta1: 0.9, beta2: 0.99, eps: 1e-8 };
    const { theta, codes, maxima } = adamw8bit(t as Parameters<typeof adamw8bit>[0], rates);
    return [theta, codes, maxima];
  },
);
op('resize, gradients', { x: [[1, 3, 8, 9, 4]] }, (t) => gradients(resizeLinear(t.x, [3, 5, 6]), [t.x]));
