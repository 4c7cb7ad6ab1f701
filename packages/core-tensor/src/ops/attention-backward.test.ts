import { type DeviceCaps, elementCount } from '@dwm/kernels-wgsl';
import {
  ATTENTION_SHAPES,
  type AttentionShape,
  attentionBackwardReference,
  attentionReference,
} from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import type { Device } from '../device/device.ts';
import { openNodeDevice } from '../node/index.ts';
import { type Plan, planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { type HostData, spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { attention, attentionWithLse } from './attention.ts';
import { applyVjp } from './testing.ts';

const device = await openNodeDevice();
/** Caps that leave only the variant for GPUs. */
const gpuCaps: DeviceCaps = { ...device.caps, features: { ...device.caps.features, subgroups: false } };

interface Values {
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  g: Float32Array;
  bias?: Float32Array;
  mask?: Uint32Array;
  h?: Float32Array;
}

function randomValues(shape: AttentionShape, seed: number): Values {
  const { batch, queries, keys, heads, headDim } = shape;
  const random = seeded(seed);
  const tokens = (count: number) => randomNormals(batch * count * heads * headDim, random);
  return {
    ...{ q: tokens(queries), k: tokens(keys), v: tokens(keys), g: tokens(queries) },
    ...(shape.bias && { bias: randomNormals(elementCount(shape.bias), random) }),
    // Batch 0 has no key at all.
    ...(shape.mask && {
      mask: Uint32Array.from({ length: batch * keys }, (_, i) => (i < keys || random() < 0.3 ? 0 : 5)),
    }),
  };
}

const specOf = (shape: AttentionShape) => ({
  ...shape,
  scale: 1 / Math.sqrt(shape.headDim),
  bias: shape.bias && { shape: shape.bias, dtype: 'f32' as const },
  mask: !!shape.mask,
});

/** Gradients as planned for `caps`; outputs start as NaN. With `h` it is the gradient of the log-sum-exp. */
async function runGradients(
  shape: AttentionShape,
  values: Values,
  { on = device, caps = on.caps }: { on?: Device; caps?: DeviceCaps } = {},
): Promise<{ plan: Plan; got: Record<string, HostData> }> {
  const { batch, queries, keys, heads, headDim } = shape;
  const inputs = {
    q: spec([batch, queries, heads, headDim]),
    k: spec([batch, keys, heads, headDim]),
    v: spec([batch, keys, heads, headDim]),
    g: spec([batch, queries, heads, headDim]),
    ...(shape.bias && { bias: spec(shape.bias) }),
    ...(shape.mask && { mask: spec([batch, keys], 'u32') }),
    ...(values.h && { h: spec([batch, heads, queries]) }),
  };
  const outputs = trace(inputs, ({ q, k, v, g, bias, mask, h }): Record<string, Tensor> => {
    const [out] = attentionWithLse(q, k, v, { bias, mask });
    const [dq, dk, dv, dbias] = applyVjp(out, [g, h]);
    return { dq, dk, dv, ...(bias && { dbias }) } as Record<string, Tensor>;
  });
  const plan = planProgram(outputs, { caps });
  const program = await Program.create<typeof inputs, typeof outputs>(on, plan, inputs);
  for (const tensor of Object.values(program.outputs)) {
    tensor.write(new Float32Array(elementCount(tensor.shape)).fill(Number.NaN));
  }
  await program.run(values as never);
  const got: Record<string, HostData> = {};
  for (const [name, tensor] of Object.entries(program.outputs)) got[name] = await tensor.read();
  program.destroy();
  return { plan, got };
}

function check(shape: AttentionShape, values: Values, got: Record<string, HostData>) {
  const want = attentionBackwardReference(specOf(shape), values, values.g, values.h);
  for (const [name, gradient] of Object.entries(want)) {
    if (gradient.length > 0) expect(relativeError(got[name], gradient), name).toBeLessThanOrEqual(3e-6);
  }
}

const title = ({ batch, queries, keys, heads, headDim, bias, mask }: AttentionShape) =>
  `${batch} x ${queries} queries, ${keys} keys, ${heads} x ${headDim}${bias ? `, bias [${bias}]` : ''}${mask ? ', mask' : ''}`;

// With a single key dq and dk are zero but for rounding.
test.each(ATTENTION_SHAPES.slice(1).map((shape) => [title(shape), shape] as const))(
  'gradients of %s',
  // A CPU takes long to compile wide heads.
  { timeout: 240_000 },
  async (_, shape) => {
    const values = randomValues(shape, 1);
    const { got } = await runGradients(shape, values);
    check(shape, values, got);
    expect((await runGradients(shape, values)).got).toEqual(got);
  },
);

// It takes a CPU long to compile, so this is its one test there; on a GPU it is what all others run.
test('the variant for GPUs', { timeout: 240_000 }, async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 32768 } });
  const shape = { batch: 2, queries: 301, keys: 261, heads: 2, headDim: 36, bias: [2, 1, 261], mask: true };
  const values = randomValues(shape, 8);
  const caps = { ...gpuCaps, limits: small.caps.limits };
  const { plan, got } = await runGradients(shape, values, { on: small, caps });
  expect(plan.dispatches.some(({ label }) => label.includes('tiled'))).toBe(true);
  check(shape, values, got);
});

test('a gradient of the log-sum-exp, a bias, and a batch without any key', async () => {
  const shape = { batch: 3, queries: 40, keys: 33, heads: 2, headDim: 44, bias: [2, 40, 33], mask: true };
  const values = { ...randomValues(shape, 2), h: randomNormals(3 * 40 * 2, seeded(3)) };
  check(shape, values, (await runGradients(shape, values)).got);
});

test.each([[[1]], [[2, 1, 1, 1]], [[1, 2, 5, 1]], [[7]]])('the gradient of a bias [%s]', async (bias) => {
  const shape = { batch: 2, queries: 5, keys: 7, heads: 2, headDim: 16, bias };
  const values = randomValues(shape, 4);
  const { got } = await runGradients(shape, values);
  const want = attentionBackwardReference(specOf(shape), values, values.g);
  // What every key shares has no gradient but rounding's.
  const shared = (bias[bias.length - 1] ?? 1) === 1;
  if (shared) expect(Math.max(...got.dbias.map(Math.abs))).toBeLessThan(1e-5);
  else expect(relativeError(got.dbias, want.dbias)).toBeLessThanOrEqual(3e-6);
});

test('the reference equals finite differences', () => {
  const shape = { batch: 2, queries: 3, keys: 4, heads: 2, headDim: 8, bias: [2, 1, 4], mask: true };
  const values = randomValues(shape, 5);
  const h = randomNormals(2 * 2 * 3, seeded(6));
  // Without the batch that has no key: its log-sum-exp is a constant.
  values.mask!.fill(1, 0, 3);
  const loss = (moved: Values) => {
    const { out, lse } = attentionReference(specOf(shape), moved);
    return out.reduce((s, y, i) => s + y * values.g[i], 0) + lse.reduce((s, y, i) => s + y * h[i], 0);
  };
  const want = attentionBackwardReference(specOf(shape), values, values.g, h);
  for (const name of ['q', 'k', 'v', 'bias'] as const) {
    const array = values[name]!;
    const difference = Float64Array.from(array, (_, i) => {
      const at = (d: number) =>
        loss({ ...values, [name]: Float64Array.from(array, (x, j) => (j === i ? x + d : x)) });
      return (at(1e-5) - at(-1e-5)) / 2e-5;
    });
    expect(relativeError(want[`d${name}`], difference)).toBeLessThan(1e-7);
  }
});

test('large logits and a bias of -infinity', async () => {
  const shape = { batch: 1, queries: 33, keys: 65, heads: 2, headDim: 16, bias: [65] };
  const values = randomValues(shape, 7);
  for (const tensor of [values.q, values.k]) for (const i of tensor.keys()) tensor[i] *= 2;
  values.bias = Float32Array.from({ length: 65 }, (_, j) => (j % 3 === 2 ? -Infinity : (j % 8) / 8));
  check(shape, values, (await runGradients(shape, values)).got);
});

test('queries, keys, batches and biases larger than a binding, without bounds checks', async () => {
  const small = await openNodeDevice({ robustness: false, limits: { maxStorageBufferBindingSize: 32768 } });
  const tokensCut = { batch: 2, queries: 300, keys: 301, heads: 2, headDim: 16, mask: true };
  const biasCut = { batch: 2, queries: 300, keys: 301, heads: 2, headDim: 16, bias: [2, 1, 301] };
  const headsCut = { batch: 2, queries: 91, keys: 65, heads: 2, headDim: 16, bias: [1, 2, 91, 65] };
  for (const shape of [tokensCut, biasCut, headsCut]) {
    const values = randomValues(shape, 9);
    const { plan, got } = await runGradients(shape, values, { on: small });
    expect(plan.dispatches.length).toBeGreaterThan(12);
    check(shape, values, got);
  }
});

test('what is not needed is not computed', () => {
  const tokens = spec([1, 9, 2, 16]);
  trace({ q: tokens, k: tokens, v: tokens, g: tokens }, ({ q, k, v, g }) => {
    const out = attention(q, k, v);
    expect(applyVjp(out, [g], [false, false, false])).toEqual([]);
    const [dq, ...others] = applyVjp(out, [g], [true, false, false]);
    expect(others.every((gradient) => gradient === undefined)).toBe(true);
    const { dispatches } = planProgram({ dq: dq! }, device);
    expect(dispatches.map(({ label }) => label.split(':')[0])).toEqual([
      'attention',
      'attentionStatistics',
      'attentionBackwardQueries',
    ]);
    return { dq: dq! };
  });
});
