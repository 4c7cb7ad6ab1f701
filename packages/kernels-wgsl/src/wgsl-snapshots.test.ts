/** The WGSL of the kernels that are put together from most parts, so that a change is seen as what it is. */
import { expect, test } from 'vitest';
import { matrixAttentionKernel } from './attention/matrix-kernel.ts';
import type { AttentionSpec } from './attention/sections.ts';
import type { DeviceCaps } from './caps.ts';
import { lowerTiled } from './conv/conv.ts';
import { type ConvSpec, convOutputShape } from './conv/geometry.ts';
import type { ConvTile } from './conv/tile.ts';
import { lowerHalf } from './matmul/half.ts';
import { matrixMatmul } from './matmul/matrix.ts';
import { matrixKernel } from './matmul/matrix-tile.ts';
import type { MatmulSpec } from './matmul/spec.ts';
import { identity } from './pointwise/fusion.ts';

const caps = {
  adapter: { kind: 'software' },
  features: { f16: true },
  limits: { minStorageBufferOffsetAlignment: 256, maxStorageBufferBindingSize: 2 ** 27 },
} as DeviceCaps;

const plain = {
  ...{ batch: 1, frames: 5, height: 12, width: 18, inChannels: 8, outChannels: 12, kernel: [3, 3, 3] },
  ...{ stride: 1, padding: { top: 1, bottom: 1, left: 1, right: 1 }, cached: false },
  ...{ upsample: { time: 1, space: 1, keepFirst: false }, precision: 'f32' },
  ...{ weightDtype: 'f32', outputDtype: 'f32' },
} as const satisfies Omit<ConvSpec, 'fusion'>;
const gpu: ConvTile = { pixels: 2, channels: 4, share: 0, workgroup: 64, step: 4 };

test.each<[string, Omit<ConvSpec, 'fusion'>, ConvTile, byTaps?: true]>([
  ['causal', plain, gpu],
  ['cached-f16', { ...plain, cached: true, precision: 'f16', weightDtype: 'f16' }, gpu],
  [
    'shared-ragged-upsampled',
    { ...plain, kernel: [1, 3, 3], outChannels: 7, upsample: { time: 1, space: 2, keepFirst: false } },
    { pixels: 2, channels: 8, share: 8, workgroup: 8, step: 1 },
  ],
  ['adjoint', { ...plain, adjoint: 'folded' }, gpu],
  ['by-taps', plain, gpu, true],
])('conv %s', async (name, sizes, tile, byTaps) => {
  const spec: ConvSpec = { ...sizes, fusion: identity(convOutputShape(sizes)) };
  // Bindings that take the weight, or a frame of x, and not two.
  const limits = { ...caps.limits, ...(byTaps && { maxStorageBufferBindingSize: 10_400 }) };
  const { dispatches } = lowerTiled(spec, tile, { ...caps, limits });
  await expect(dispatches[dispatches.length - 1].wgsl).toMatchFileSnapshot(`__snapshots__/conv-${name}.wgsl`);
});

const heads: AttentionSpec = {
  ...{ batch: 1, queries: 70, keys: 75, heads: 2, headDim: 20, scale: 1, mask: false, halfPrecision: true },
  dtypes: { q: 'f32', k: 'f32', v: 'f32' },
};

test.each([
  ['native', false, false],
  ['emulated-split', true, true],
] as const)('attention on matrix units, %s', async (name, emulate, split) => {
  const size = { M: 8, N: 8, K: 8 };
  const { enables, main } = matrixAttentionKernel(
    heads,
    { subgroups: 2, bands: 2, keys: 32 },
    size,
    32,
    emulate,
  );
  await expect(enables + main(split)).toMatchFileSnapshot(`__snapshots__/attention-matrix-${name}.wgsl`);
});

test.each([
  ['one-buffer', 1, 1],
  ['two-buffers-in-parts', 2, 4],
] as const)('matmul on matrix units, %s', async (name, buffers, splits) => {
  const product: MatmulSpec = {
    ...{ batch: 1, m: 40, n: 50, k: 100, transposeA: false, transposeB: true, sharedB: true },
    ...{ dtypeA: 'f32', dtypeB: 'bf16', dtypeOut: 'f32', halfPrecision: true, epilogue: undefined },
  };
  const kernel = matrixMatmul((sources) =>
    matrixKernel({ side: 1, buffers }, { M: 8, N: 8, K: 8 }, 32, false, sources),
  );
  const { dispatches } = lowerHalf(product, caps, kernel, splits);
  await expect(dispatches[2].wgsl).toMatchFileSnapshot(`__snapshots__/matmul-matrix-${name}.wgsl`);
});
