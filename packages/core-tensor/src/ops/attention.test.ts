import { type DeviceCaps, type DType, elementCount } from '@dwm/kernels-wgsl';
import { ATTENTION_SHAPES, type AttentionShape, attentionReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import type { Device } from '../device/device.ts';
import { openNodeDevice } from '../node/index.ts';
import { type Plan, planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { type HostData, spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { attention, attentionWithLse } from './attention.ts';

const device = await openNodeDevice();
/** Caps that leave only the variant for GPUs. */
const gpuCaps: DeviceCaps = { ...device.caps, features: { ...device.caps.features, subgroups: false } };

interface Values {
  q: HostData;
  k: HostData;
  v: HostData;
  bias?: HostData;
  mask?: HostData;
}

function randomValues(shape: AttentionShape, seed: number): Values {
  const { batch, queries, keys, heads, headDim } = shape;
  const random = seeded(seed);
  const tokens = (count: number) => randomNormals(batch * count * heads * headDim, random);
  return {
    ...{ q: tokens(queries), k: tokens(keys), v: tokens(keys) },
    ...(shape.bias && { bias: randomNormals(elementCount(shape.bias), random) }),
    // Batch 0 has no key at all.
    ...(shape.mask && {
      mask: Uint32Array.from({ length: batch * keys }, (_, i) => (i < keys || random() < 0.3 ? 0 : 5)),
    }),
  };
}

const referenceOf = (shape: AttentionShape, values: Values, scale = 1 / Math.sqrt(shape.headDim)) =>
  attentionReference(
    { ...shape, scale, bias: shape.bias && { shape: shape.bias, dtype: 'f32' }, mask: !!shape.mask },
    values,
  );

/** Runs the op as planned for `caps`, which may say less than the device can; outputs start as NaN. */
async function runAttention(
  shape: AttentionShape,
  values: Values,
  {
    on = device,
    caps = on.caps,
    lse = false,
    scale,
    dtype = 'f32',
  }: { on?: Device; caps?: DeviceCaps; lse?: boolean; scale?: number; dtype?: DType } = {},
): Promise<{ out: HostData; lse?: HostData; plan: Plan }> {
  const { batch, queries, keys, heads, headDim } = shape;
  const inputs = {
    q: spec([batch, queries, heads, headDim], dtype),
    k: spec([batch, keys, heads, headDim], dtype),
    v: spec([batch, keys, heads, headDim], dtype),
    ...(shape.bias && { bias: spec(shape.bias) }),
    ...(shape.mask && { mask: spec([batch, keys], 'u32') }),
  };
  const outputs = trace(inputs, ({ q, k, v, ...options }): Record<string, Tensor> => {
    if (!lse) return { out: attention(q, k, v, { scale, ...options }) };
    const both = attentionWithLse(q, k, v, { scale, ...options });
    return { out: both[0], lse: both[1] };
  });
  const plan = planProgram(outputs, { caps });
  const program = await Program.create<typeof inputs, typeof outputs>(on, plan, inputs);
  for (const tensor of Object.values(program.outputs)) {
    tensor.write(new Float32Array(elementCount(tensor.shape)).fill(Number.NaN));
  }
  await program.run(values as never);
  const result = {
    plan,
    out: await program.outputs.out.read(),
    lse: lse ? await program.outputs.lse.read() : undefined,
  };
  program.destroy();
  return result;
}

const title = ({ batch, queries, keys, heads, headDim, bias, mask }: AttentionShape) =>
  `${batch} x ${queries} queries, ${keys} keys, ${heads} x ${headDim}${bias ? `, bias [${bias}]` : ''}${mask ? ', mask' : ''}`;

test.each(ATTENTION_SHAPES.map((shape) => [title(shape), shape] as const))('%s', async (_, shape) => {
  const values = randomValues(shape, 1);
  const want = referenceOf(shape, values);
  const got = await runAttention(shape, values);
  expect(relativeError(got.out, want.out)).toBeLessThanOrEqual(1e-6);
  expect((await runAttention(shape, values)).out).toEqual(got.out);
  // The variant for GPUs takes seconds to compile for a CPU: one pipeline for many shapes.
  if (shape.headDim !== 16 || shape.bias || shape.mask) return;
  const tiled = await runAttention(shape, values, { caps: gpuCaps });
  expect(tiled.plan.dispatches[0].label).toContain('tiled');
  expect(relativeError(tiled.out, want.out)).toBeLessThanOrEqual(1e-6);
});

// 16 KiB of workgroup memory, the least there is, do not hold the queries of 44 components beside the rest.
const variants: [string, DeviceCaps][] = [
  ['chosen', device.caps],
  ['tiled', { ...gpuCaps, limits: { ...gpuCaps.limits, maxComputeWorkgroupStorageSize: 32768 } }],
  ['tiled by chunks', { ...gpuCaps, limits: { ...gpuCaps.limits, maxComputeWorkgroupStorageSize: 16384 } }],
];

test.each(variants)('log-sum-exp, bias, and a batch without any key (%s)', async (_, caps) => {
  const shape = { batch: 3, queries: 40, keys: 33, heads: 2, headDim: 44, bias: [2, 40, 33], mask: true };
  const values = randomValues(shape, 2);
  const want = referenceOf(shape, values);
  const { out, lse } = await runAttention(shape, values, { caps, lse: true });
  expect(relativeError(out, want.out)).toBeLessThanOrEqual(1e-6);
  const perBatch = 40 * 2;
  expect([...lse!.slice(0, perBatch)]).toEqual(Array(perBatch).fill(Math.fround(-1e30)));
  expect(relativeError(lse!.slice(perBatch), want.lse.slice(perBatch))).toBeLessThanOrEqual(1e-6);
  expect(out.slice(0, perBatch * 44).every((value) => value === 0)).toBe(true);
});

/** Whole numbers up to 50 in size, so that logits up to 1e4 are exact: 16 components, scale 1/4. */
function largeValues(shape: AttentionShape): Values {
  const values = randomValues(shape, 3);
  const random = seeded(4);
  for (const tensor of [values.q, values.k]) {
    for (let i = 0; i < tensor.length; i++) tensor[i] = Math.floor(random() * 101) - 50;
  }
  values.q.fill(50, 0, 16);
  values.k.fill(50, 0, 16).fill(-50, 32, 48);
  return values;
}

test.each([
  ['chosen', device.caps],
  ['tiled', gpuCaps],
])('logits of 1e4 (%s)', async (_, caps) => {
  const shape = { batch: 1, queries: 33, keys: 65, heads: 2, headDim: 16 };
  const values = largeValues(shape);
  const want = referenceOf(shape, values);
  expect(Math.max(...want.lse)).toBeGreaterThanOrEqual(1e4);
  const { out } = await runAttention(shape, values, { caps });
  expect(relativeError(out, want.out)).toBeLessThanOrEqual(1e-6);
});

test('a bias of -infinity masks', async () => {
  const shape = { batch: 1, queries: 33, keys: 65, heads: 2, headDim: 16, bias: [65] };
  const values = largeValues(shape);
  values.bias = Float32Array.from({ length: 65 }, (_, j) => (j % 3 === 2 ? -Infinity : (j % 8) / 8));
  const want = referenceOf(shape, values);
  const { out } = await runAttention(shape, values);
  expect(relativeError(out, want.out)).toBeLessThanOrEqual(1e-6);
});

test('f16 inputs', async () => {
  const shape = { batch: 2, queries: 33, keys: 65, heads: 3, headDim: 16 };
  const random = seeded(5);
  // 1 is 0x3c00, and steps up to 2 are 1/1024.
  const halves = (tokens: number) => {
    const bits = new Uint16Array(2 * tokens * 3 * 16);
    const floats = new Float32Array(bits.length);
    for (let i = 0; i < bits.length; i++) {
      const step = Math.floor(random() * 1024);
      const negative = random() < 0.5;
      bits[i] = 0x3c00 + step + (negative ? 0x8000 : 0);
      floats[i] = (negative ? -1 : 1) * (1 + step / 1024);
    }
    return { bits, floats };
  };
  const [q, k, v] = [halves(33), halves(65), halves(65)];
  const { out } = await runAttention(shape, { q: q.bits, k: k.bits, v: v.bits }, { dtype: 'f16' });
  const want = referenceOf(shape, { q: q.floats, k: k.floats, v: v.floats });
  expect(relativeError(out, want.out)).toBeLessThanOrEqual(1e-6);
});

test('queries, keys, batches and biases larger than a binding, without bounds checks', async () => {
  const small = await openNodeDevice({ robustness: false, limits: { maxStorageBufferBindingSize: 32768 } });
  const keysCut = { batch: 2, queries: 300, keys: 301, heads: 2, headDim: 16, mask: true };
  const headsCut = { batch: 2, queries: 91, keys: 65, heads: 2, headDim: 16, bias: [1, 2, 91, 65] };
  for (const caps of [small.caps, { ...gpuCaps, limits: small.caps.limits }]) {
    const values = randomValues(keysCut, 6);
    const want = referenceOf(keysCut, values);
    const { out, lse, plan } = await runAttention(keysCut, values, { on: small, caps, lse: true });
    expect(plan.dispatches.length).toBe(2 * 2 * 2);
    expect(relativeError(out, want.out)).toBeLessThanOrEqual(1e-6);
    expect(relativeError(lse!, want.lse)).toBeLessThanOrEqual(1e-6);
  }
  const biased = randomValues(headsCut, 7);
  const heads = await runAttention(headsCut, biased, { on: small });
  expect(heads.plan.dispatches.length).toBe(2 * 2);
  expect(relativeError(heads.out, referenceOf(headsCut, biased).out)).toBeLessThanOrEqual(1e-6);
});

test('a model-sized program is cut into slices of work and into bindings', () => {
  const tokens = spec([1, 17776, 48, 64]);
  const outputs = trace({ q: tokens, k: tokens, v: tokens }, ({ q, k, v }) => ({ out: attention(q, k, v) }));
  const limits = { ...device.caps.limits, maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 31 };
  const { dispatches, cost } = planProgram(outputs, { caps: { ...gpuCaps, limits } });
  expect(cost.flops).toBe(4 * 17776 ** 2 * 48 * 64);
  for (const { bindings } of dispatches) {
    for (const { byteLength } of bindings) expect(byteLength).toBeLessThanOrEqual(2 ** 27);
  }
  expect(dispatches.length).toBeGreaterThan(2 * 2);
});

test('shapes that do not match are named', () => {
  const check = (shapes: Record<string, number[]>, message: RegExp) => {
    const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, spec(shape)]));
    const run = () =>
      trace(inputs, ({ q, k, v, bias, mask }) => ({ out: attention(q, k, v, { bias, mask }) }));
    expect(run).toThrow(message);
  };
  const [q, k] = [
    [2, 5, 3, 16],
    [2, 7, 3, 16],
  ];
  check({ q, k: [2, 7, 3, 8], v: k }, /k \[2,7,3,8\]/);
  check({ q, k, v: q }, /v \[2,5,3,16\]/);
  check({ q: [1, 2, 1, 6], k: [1, 2, 1, 6], v: [1, 2, 1, 6] }, /headDim is 6/);
  check({ q, k, v: k, bias: [3, 7, 5] }, /bias \[3,7,5\]/);
  check({ q, k, v: k, mask: [2, 7] }, /mask is f32/);
});
