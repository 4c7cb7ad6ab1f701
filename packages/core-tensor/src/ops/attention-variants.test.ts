/**
 * Every attention variant, forced one by one, against float64: also those for hardware, which run here on whatever
 * device there is. `DWM_SEED` changes the random shapes.
 */
import { type AttentionSpec, type DeviceCaps, elementCount, type Lowering } from '@dwm/kernels-wgsl';
import {
  ATTENTION_VARIANTS,
  type AttentionShape,
  attentionReference,
  lowerMatrixAttention,
  matrixAttentionKernel,
} from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import type { Device } from '../device/device.ts';
import { openNodeDevice } from '../node/index.ts';
import { record, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { runOp, spec } from './testing.ts';

const device = await openNodeDevice();
const seed = Number(process.env.DWM_SEED ?? 20251);
const random = seeded(seed);
console.log(`random attention shapes: DWM_SEED=${seed}`);

type Lower = (spec: AttentionSpec) => Lowering;

interface Values {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly bias?: Float32Array;
  readonly mask?: Uint32Array;
}

function valuesOf(shape: AttentionShape): Values {
  const { batch, queries, keys, heads, headDim } = shape;
  const tokens = (count: number) => randomNormals(batch * count * heads * headDim, random);
  return {
    ...{ q: tokens(queries), k: tokens(keys), v: tokens(keys) },
    ...(shape.bias && { bias: randomNormals(elementCount(shape.bias), random) }),
    // Key 0 stays, so that every query has one.
    ...(shape.mask && {
      mask: Uint32Array.from({ length: batch * keys }, (_, i) => (i % keys > 0 && random() < 0.4 ? 0 : 1)),
    }),
  };
}

const specOf = (shape: AttentionShape): AttentionSpec => ({
  ...shape,
  ...{ mask: shape.mask === true, halfPrecision: true, scale: 1 / Math.sqrt(shape.headDim) },
  dtypes: { q: 'f32', k: 'f32', v: 'f32' },
  bias: shape.bias && { shape: shape.bias, dtype: 'f32' },
});

/** Relative errors of out and lse; checks that a second run gives the same bits. */
async function errorsOf(
  shape: AttentionShape,
  lower: Lower,
  values = valuesOf(shape),
  on: Device = device,
): Promise<{ out: number; lse: number; dispatches: number }> {
  const { batch, queries, keys, heads, headDim } = shape;
  const attentionSpec = specOf(shape);
  const lowered = lower(attentionSpec);
  const inputs = {
    q: spec([batch, queries, heads, headDim]),
    k: spec([batch, keys, heads, headDim]),
    v: spec([batch, keys, heads, headDim]),
    ...(shape.bias && { bias: spec(shape.bias) }),
    ...(shape.mask && { mask: spec([batch, keys], 'u32') }),
  };
  const run = () =>
    runOp(on, inputs, values as never, (t) => {
      const [out, lse] = record(
        {
          ...{ kind: 'kernel' as const, name: 'attention', cost: { flops: 1, bytes: 1 } },
          ...{ epilogue: false, bindings: 8, lower: () => lowered },
        },
        Object.values(t) as Tensor[],
        [spec([batch, queries, heads, headDim]), spec([batch, heads, queries])],
      );
      return { out, lse };
    });
  const got = await run();
  expect(await run()).toEqual(got);
  const want = attentionReference(attentionSpec, values);
  return {
    out: relativeError(got.out, want.out),
    lse: relativeError(got.lse, want.lse),
    dispatches: lowered.dispatches.length,
  };
}

const emulated =
  (
    subgroups: number,
    keys: number,
    edges: readonly number[],
    lanes = 32,
    caps = device.caps,
    bands = 1,
  ): Lower =>
  (attentionSpec) => {
    const [M, N = M, K = M] = edges;
    const size = { M, N, K };
    const kernel = matrixAttentionKernel(attentionSpec, { subgroups, bands, keys }, size, lanes, true);
    return lowerMatrixAttention(attentionSpec, caps, kernel);
  };

// Few and small, because lavapipe takes seconds to compile each.
const MATRIX_CASES: readonly (readonly [string, Lower, AttentionShape])[] = [
  [
    'one query, one key, two subgroups, matrices of 8x16x16',
    emulated(2, 32, [8, 16, 16]),
    { batch: 1, queries: 1, keys: 1, heads: 2, headDim: 16 },
  ],
  [
    'a ragged head wider than a block of keys, bias and mask, matrices of 16x8x16',
    emulated(1, 16, [16, 8, 16]),
    { batch: 2, queries: 19, keys: 70, heads: 2, headDim: 24, bias: [2, 1, 19, 70], mask: true },
  ],
  [
    'two bands of matrices of 8',
    emulated(1, 16, [8], 16, device.caps, 2),
    { batch: 1, queries: 33, keys: 65, heads: 2, headDim: 8 },
  ],
];
const noF16 = !device.caps.features.f16;

test.for(MATRIX_CASES)('matrix kernel without matrix units: %s', async ([, lower, shape], { skip }) => {
  if (noF16) skip('the adapter has no f16');
  const errors = await errorsOf(shape, lower);
  expect(errors.out).toBeLessThan(2e-3);
  expect(errors.lse).toBeLessThan(2e-3);
});

test('matrix kernel: a maximum that grows a little or a lot from block to block', async ({ skip }) => {
  if (noF16) skip('the adapter has no f16');
  const shape = { batch: 1, queries: 20, keys: 200, heads: 1, headDim: 16 };
  for (const growth of [0.03, 1]) {
    const values = valuesOf(shape);
    // Scores of whole numbers, which f16 holds: q is 1 in component 0, k grows along the keys.
    values.q.fill(0);
    for (let i = 0; i < 20; i++) values.q[16 * i] = 4;
    for (let j = 0; j < 200; j++) values.k[16 * j] = Math.floor(growth * j);
    const errors = await errorsOf(shape, emulated(2, 32, [16]), values);
    expect(errors.out).toBeLessThan(2e-3);
    expect(errors.lse).toBeLessThan(1e-5);
  }
});

test('matrix kernel: values of any range, and queries without keys', async ({ skip }) => {
  if (noF16) skip('the adapter has no f16');
  const shape = { batch: 2, queries: 20, keys: 70, heads: 1, headDim: 16, mask: true };
  for (const size of [1e12, 1e-12, 0]) {
    const values = valuesOf(shape);
    // Each key's value has another size; the second batch has no key at all.
    for (let i = 0; i < values.v.length; i++) values.v[i] *= size * 10 ** (Math.floor(i / 16) % 5);
    for (let i = 0; i < values.q.length; i++) values.q[i] *= 1e9;
    for (let i = 0; i < values.k.length; i++) values.k[i] *= 1e-9;
    values.mask!.fill(0, 70);
    const errors = await errorsOf(shape, emulated(2, 32, [16]), values);
    expect(errors.out).toBeLessThan(2e-3);
    expect(errors.lse).toBeLessThan(2e-3);
  }
});

test('matrix kernel: tokens larger than a binding, without bounds checks', async ({ skip }) => {
  if (noF16) skip('the adapter has no f16');
  const small = await openNodeDevice({ robustness: false, limits: { maxStorageBufferBindingSize: 32768 } });
  const shape = { batch: 2, queries: 150, keys: 301, heads: 3, headDim: 16, mask: true };
  const errors = await errorsOf(shape, emulated(2, 32, [16], 32, small.caps), valuesOf(shape), small);
  expect(errors.dispatches).toBeGreaterThan(10);
  expect(errors.out).toBeLessThan(2e-3);
  expect(errors.lse).toBeLessThan(2e-3);
  small.destroy();
});

/** These capabilities, but of a GPU without subgroups. */
const gpuCaps: DeviceCaps = {
  ...device.caps,
  adapter: { ...device.caps.adapter, kind: 'hardware' },
  features: { ...device.caps.features, subgroups: false },
};

const variantOf = (name: string) => ATTENTION_VARIANTS.find((each) => each.name === name)!;

/** The variant with its default tile, on this device, or else as on a GPU. */
const forced =
  (name: string): Lower =>
  (attentionSpec) => {
    const caps = [device.caps, gpuCaps].find((each) => variantOf(name).applies(attentionSpec, each))!;
    return variantOf(name).lower(attentionSpec, caps);
  };

test.for(['rows', 'tiled'])('every candidate of %s', async (name, { skip }) => {
  const { applies, candidates, lower } = variantOf(name);
  const shape = { batch: 1, queries: 131, keys: 70, heads: 2, headDim: 16 };
  if (!applies(specOf(shape), device.caps)) skip('the adapter has no lanes');
  const tiles = candidates!(specOf(shape), device.caps);
  expect(tiles.length).toBeGreaterThan(1);
  for (const tile of tiles) {
    const errors = await errorsOf(shape, (attentionSpec) => lower(attentionSpec, device.caps, tile));
    expect(errors.out, JSON.stringify(tile)).toBeLessThan(1e-6);
    expect(errors.lse, JSON.stringify(tile)).toBeLessThan(1e-6);
  }
});

// Few, because lavapipe takes seconds to compile each: sizes of tokens are free.
const RANDOM: readonly {
  lower: Lower;
  headDim: number;
  bias?: true;
  mask?: true;
  bound: number;
  f16?: true;
}[] = [
  { lower: forced('rows'), headDim: 16, bound: 1e-5 },
  { lower: forced('rows'), headDim: 8, bias: true, mask: true, bound: 1e-5 },
  { lower: forced('tiled'), headDim: 16, bound: 1e-5 },
  { lower: emulated(2, 32, [16]), headDim: 16, bound: 5e-3, f16: true },
];

test('200 random shapes', async () => {
  const upTo = (most: number) => 1 + Math.floor(random() ** 2 * most);
  const runs = RANDOM.filter(({ f16 }) => !(f16 && noF16));
  for (let i = 0; i < 200; i++) {
    const { lower, headDim, bias, mask, bound } = runs[i % runs.length];
    // Fewer queries are another pipeline.
    const queries = bias ? 25 + upTo(60) : upTo(90);
    const [batch, keys, heads] = [upTo(3), upTo(150), upTo(4)];
    const biases = [[keys], [queries, keys], [1, heads, queries, keys], [batch, 1, 1, keys]];
    const shape = { batch, queries, keys, heads, headDim, mask, bias: bias && biases[i % 4] };
    const errors = await errorsOf(shape, lower);
    const about = `${JSON.stringify(shape)} run ${i % runs.length} seed ${seed}`;
    expect(errors.out, about).toBeLessThan(bound);
    expect(errors.lse, about).toBeLessThan(bound);
  }
});
