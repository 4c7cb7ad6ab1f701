/**
 * Kernels for matrix units on a device that has them: which ones the ops of a program take, and their numbers
 * beside float64. `tools/mesa26 npx vitest run` on this file where there is no such GPU. Shapes are few and small,
 * because a software driver takes seconds to compile each kernel; sizes are free.
 */
import {
  type AttentionSpec,
  type ConvShape,
  type ConvSpec,
  convOutputShape,
  elementCount,
  type MatmulSpec,
  type Tuning,
} from '@dwm/kernels-wgsl';
import {
  ATTENTION_VARIANTS,
  attentionBackwardReference,
  attentionReference,
  CONV_VARIANTS,
  convReference,
  MATMUL_VARIANTS,
  matmulReference,
} from '@dwm/kernels-wgsl/testing';
import { afterAll, describe, expect, test } from 'vitest';
import type { Device } from '../device/device.ts';
import { grad } from '../grad/grad.ts';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { type HostData, spec, type Tensor, type TensorSpec } from '../tensor.ts';
import { countMatrixKernels, randomNormals, relativeError, seeded } from '../testing.ts';
import { attention } from './attention.ts';
import { conv3d } from './conv.ts';
import { layerNorm } from './layer-norm.ts';
import { matmul } from './matmul.ts';
import { add, geluTanh, mul } from './pointwise.ts';
import { sum } from './reduce.ts';
import { rotary } from './rotary.ts';
import { poison, runOp } from './testing.ts';
import { reshape } from './views.ts';

const device = await openNodeDevice();
const unchecked = await openNodeDevice({ robustness: false });
const random = seeded(22);
const { features, adapter } = device.caps;
const has = features.subgroupMatrixConfigs.some(
  ({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32',
);
const kernels = countMatrixKernels(device);
if (!has) console.log(`skipped, no device with matrix units: ${adapter.description || adapter.device}`);

const BOUND = 2e-3;

/**
 * Runs `fn` in f16. Its outputs hold NaN before, and so does every intermediate that an input reaches: the first run
 * is given NaN. Two runs on the values must give the same bits. `families` must all run on matrix units.
 */
async function run<I extends Record<string, TensorSpec>, O extends Record<string, Tensor>>(
  inputs: I,
  values: { [K in keyof I]: HostData },
  families: readonly string[],
  fn: (inputs: { [K in keyof I]: Tensor }) => O,
  on = device,
): Promise<{ [K in keyof O]: Float32Array }> {
  const outputs = trace(inputs, fn);
  const plan = planProgram(outputs, on, 'f16');
  for (const family of families) {
    const own = plan.dispatches.flatMap(({ receipt }) =>
      receipt?.family === family ? [receipt.variant] : [],
    );
    expect(new Set(own), `kernels of ${family}`).toEqual(new Set(['matrix']));
  }
  const program = await Program.create<I, O>(on, plan, inputs);
  const nothing = Object.fromEntries(
    Object.entries(values).map(([name, data]) => [
      name,
      data instanceof Float32Array ? data.slice().fill(Number.NaN) : data,
    ]),
  );
  await program.run(nothing as typeof values);
  const once = async () => {
    for (const output of Object.values(program.outputs)) poison(output);
    await program.run(values);
    const results: Record<string, HostData> = {};
    for (const [name, tensor] of Object.entries(program.outputs)) results[name] = await tensor.read();
    return results as { [K in keyof O]: Float32Array };
  };
  const first = await once();
  expect(await once()).toEqual(first);
  program.destroy();
  return first;
}

const normals = (shape: readonly number[]) => randomNormals(elementCount(shape), random);

interface Product {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

async function matmulError(
  { batch, m, n, k, transposeA = false, transposeB = false }: Product,
  on = device,
): Promise<number> {
  const inputs = {
    a: spec(transposeA ? [batch, k, m] : [batch, m, k]),
    b: spec(transposeB ? [batch, n, k] : [batch, k, n]),
  };
  const values = { a: normals(inputs.a.shape), b: normals(inputs.b.shape) };
  const { out } = await run(
    inputs,
    values,
    ['matmul'],
    (t) => ({ out: matmul(t.a, t.b, { transposeA, transposeB }) }),
    on,
  );
  const shape = { batch, m, n, k, transposeA, transposeB, sharedB: false };
  return relativeError(out, matmulReference(shape, values.a, values.b));
}

const PRODUCTS: readonly Product[] = [
  { batch: 1, m: 9, n: 1, k: 1 },
  { batch: 2, m: 33, n: 31, k: 65 },
  { batch: 1, m: 67, n: 130, k: 33, transposeB: true },
  { batch: 2, m: 40, n: 64, k: 96, transposeA: true },
  { batch: 1, m: 65, n: 71, k: 31, transposeA: true, transposeB: true },
  // Few rows of many, and the other way round.
  { batch: 1, m: 10, n: 300, k: 64 },
  { batch: 1, m: 300, n: 3, k: 100 },
  // Bands of tiles, of which the last is lower.
  { batch: 1, m: 310, n: 35, k: 40 },
];

describe.skipIf(!has)('on matrix units', { timeout: 300_000 }, () => {
  afterAll(() => {
    console.log(`${kernels()} matrix kernels ran on ${adapter.description || adapter.device}`);
    device.destroy();
    unchecked.destroy();
  });

  test.each(PRODUCTS)('matmul $batch x $m x $n x $k $transposeA $transposeB', async (product) => {
    expect(await matmulError(product)).toBeLessThan(BOUND);
  });

  test('matmul: 60 random shapes, half of them without bounds checks', async () => {
    const upTo = (most: number) => 1 + Math.floor(random() ** 2 * most);
    for (let i = 0; i < 60; i++) {
      const [transposeA, transposeB] = [random() < 0.5, random() < 0.5];
      const product = { batch: upTo(2), m: 8 + upTo(90), n: upTo(90), k: upTo(200), transposeA, transposeB };
      const error = await matmulError(product, i % 2 ? unchecked : device);
      expect(error, JSON.stringify(product)).toBeLessThan(2 * BOUND);
    }
  });

  /** Runs `fn` while the kernels of what `outputs` are take the tile that `wanted` picks of all that there are. */
  async function withTile(
    outputs: Record<string, Tensor>,
    wanted: (tuning: Tuning) => boolean,
    fn: () => Promise<void>,
  ): Promise<void> {
    const receipt = planProgram(outputs, device, 'f16').dispatches.find((each) => each.receipt)!.receipt!;
    const tile = receipt
      .alternatives()
      .find(({ variant, tuning }) => variant === 'matrix' && wanted(tuning!));
    expect(tile).toBeDefined();
    for (const of of [device, unchecked]) of.decisions.choices.set(receipt.key, tile!);
    await fn();
    for (const of of [device, unchecked]) of.decisions.choices.delete(receipt.key);
  }

  test('matmul: the largest tile', async () => {
    const [m, n, k] = [67, 130, 33];
    const outputs = trace({ a: spec([1, m, k]), b: spec([1, k, n]) }, ({ a, b }) => ({ out: matmul(a, b) }));
    await withTile(
      outputs,
      ({ side }) => side === 4,
      async () => expect(await matmulError({ batch: 1, m, n, k })).toBeLessThan(BOUND),
    );
  });

  test.each([
    ['two buffers', 2, 1, [1, 33, 64, 200]],
    ['parts of K', 1, 2, [1100]],
    ['two buffers, parts of K', 2, 4, [2100]],
  ] as const)('matmul: %s', async (_, buffers, splits, steps) => {
    for (const [i, k] of steps.entries()) {
      const [batch, m, n] = [2, 35, 19 + (k % 7)];
      const outputs = trace({ a: spec([batch, m, k]), b: spec([batch, k, n]) }, ({ a, b }) => ({
        out: matmul(a, b),
      }));
      const check = async () =>
        expect(await matmulError({ batch, m, n, k }, i % 2 ? unchecked : device)).toBeLessThan(BOUND);
      await withTile(
        outputs,
        (own) => own.side === 1 && own.buffers === buffers && own.splits === splits,
        check,
      );
    }
  });

  test('matmul: what follows in the kernel', async () => {
    const [m, n, k] = [35, 31, 70];
    const inputs = { x: spec([m, k]), w: spec([n, k]), bias: spec([n]), residual: spec([m, n]) };
    const values = {
      ...{ x: normals([m, k]), w: normals([n, k]), bias: normals([n]), residual: normals([m, n]) },
    };
    const product = { batch: 1, m, n, k, transposeA: false, transposeB: true, sharedB: true };
    const want = matmulReference(product, values.x, values.w).map((sumOf, i) => {
      const u = sumOf + values.bias[i % n];
      return values.residual[i] + 0.5 * u * (1 + Math.tanh(0.7978845608028654 * (u + 0.044715 * u ** 3)));
    });
    const { out } = await run(inputs, values, ['matmul'], (t) => ({
      out: add(t.residual, geluTanh(add(matmul(t.x, t.w, { transposeB: true }), t.bias))),
    }));
    expect(relativeError(out, want)).toBeLessThan(BOUND);
  });

  test('gradients of a layer', async () => {
    const [m, n, k] = [35, 24, 41];
    const inputs = { x: spec([m, k]), w: spec([n, k]), g: spec([m, n]) };
    const values = { x: normals([m, k]), w: normals([n, k]), g: normals([m, n]) };
    const { dx, dw } = await run(inputs, values, ['matmul'], ({ x, w, g }) => {
      const loss = sum(mul(matmul(x, w, { transposeB: true }), g), [0, 1]);
      const [dx, dw] = grad(loss, [x, w]);
      return { dx, dw };
    });
    const shape = { batch: 1, transposeA: false, transposeB: false, sharedB: true };
    expect(relativeError(dx, matmulReference({ ...shape, m, n: k, k: n }, values.g, values.w))).toBeLessThan(
      BOUND,
    );
    const transposed = { ...shape, m: n, n: k, k: m, transposeA: true };
    expect(relativeError(dw, matmulReference(transposed, values.g, values.x))).toBeLessThan(BOUND);
  });

  interface Attended {
    readonly batch: number;
    readonly queries: number;
    readonly keys: number;
    readonly heads: number;
    readonly headDim: number;
    readonly masked?: boolean;
  }

  const attended = ({ batch, queries, keys, heads, headDim, masked }: Attended) => {
    const inputs = {
      q: spec([batch, queries, heads, headDim]),
      k: spec([batch, keys, heads, headDim]),
      v: spec([batch, keys, heads, headDim]),
      ...(masked && { bias: spec([batch, 1, queries, keys]), mask: spec([batch, keys], 'u32') }),
    };
    const values = {
      ...{ q: normals(inputs.q.shape), k: normals(inputs.k.shape), v: normals(inputs.v.shape) },
      ...(masked && {
        bias: normals([batch, 1, queries, keys]),
        mask: Uint32Array.from({ length: batch * keys }, (_, i) => (i % 3 === 1 ? 0 : 1)),
      }),
    };
    const reference: AttentionSpec = {
      ...{ batch, queries, keys, heads, headDim, mask: masked === true, scale: 1 / Math.sqrt(headDim) },
      dtypes: { q: 'f32', k: 'f32', v: 'f32' },
      ...(masked && { bias: { shape: [batch, 1, queries, keys], dtype: 'f32' } }),
    };
    return { inputs, values, reference };
  };

  test.each([
    { batch: 2, queries: 33, keys: 70, heads: 3, headDim: 16 },
    { batch: 2, queries: 19, keys: 65, heads: 2, headDim: 24, masked: true },
  ])('attention $queries x $keys, heads of $headDim, mask $masked', async (shape) => {
    const { inputs, values, reference } = attended(shape);
    const fn = ({ q, k, v, ...more }: { [K in keyof typeof inputs]: Tensor }) => ({
      out: attention(q, k, v, more as { bias?: Tensor; mask?: Tensor }),
    });
    const check = async () => {
      const { out } = await run(inputs, values as never, ['attention'], fn);
      expect(relativeError(out, attentionReference(reference, values).out)).toBeLessThan(BOUND);
    };
    if (shape.masked) await check();
    else await withTile(trace(inputs, fn), ({ keys, bands }) => keys === 32 && bands === 1, check);
  });

  test('attention: any number of tokens, without bounds checks, and its gradients', async () => {
    for (const [queries, keys] of [
      [1, 1],
      [31, 8],
      [64, 129],
    ]) {
      const { inputs, values, reference } = attended({ batch: 2, queries, keys, heads: 2, headDim: 16 });
      const g = normals(inputs.q.shape);
      const fn = (t: Record<'q' | 'k' | 'v' | 'g', Tensor>) => {
        const out = attention(t.q, t.k, t.v);
        const [dq, dk, dv] = grad(sum(mul(out, t.g), [0, 1, 2, 3]), [t.q, t.k, t.v]);
        return { out, dq, dk, dv };
      };
      const got = await run(
        { ...inputs, g: spec(inputs.q.shape) },
        { ...values, g },
        ['attention'],
        fn,
        unchecked,
      );
      expect(relativeError(got.out, attentionReference(reference, values).out)).toBeLessThan(BOUND);
      const want = attentionBackwardReference(reference, values, g);
      // One key has no gradient of its scores: what is left is the rounding of f16.
      for (const name of ['dq', 'dk', 'dv'] as const)
        if (keys > 1) expect(relativeError(got[name], want[name]), name).toBeLessThan(3 * BOUND);
    }
  });

  test('attention between layers: halves from norms that turn and from a product, and halves of what it heard', async () => {
    const [batch, rows, heads, headDim, firstRow] = [1, 37, 2, 16, 3];
    const dim = heads * headDim;
    const inputs = {
      ...{ x: spec([batch, rows, dim]), gamma: spec([headDim]), beta: spec([headDim]) },
      ...{ cos: spec([rows - firstRow, headDim]), sin: spec([rows - firstRow, headDim]) },
      ...{ q: spec([dim, dim]), k: spec([dim, dim]), v: spec([dim, dim]), out: spec([dim, dim]) },
    };
    const angles = normals(inputs.cos.shape);
    const values = {
      ...(Object.fromEntries(
        Object.entries(inputs).map(([name, { shape }]) => [name, normals(shape)]),
      ) as Record<keyof typeof inputs, Float32Array>),
      ...{ cos: angles.map(Math.cos), sin: angles.map(Math.sin) },
    };
    const fn = (t: { [K in keyof typeof inputs]: Tensor }) => {
      const inHeads = (w: Tensor) =>
        reshape(matmul(t.x, w, { transposeB: true }), [batch, rows, heads, headDim]);
      const turned = (w: Tensor) =>
        rotary(layerNorm(inHeads(w), { eps: 1e-6, gamma: t.gamma, beta: t.beta }), t.cos, t.sin, firstRow);
      const heard = reshape(attention(turned(t.q), turned(t.k), inHeads(t.v)), [batch, rows, dim]);
      return { heard: matmul(heard, t.out, { transposeB: true }) };
    };
    const plan = planProgram(trace(inputs, fn), device, 'f16');
    const count = (kernel: string) => plan.dispatches.filter(({ label }) => label.includes(kernel)).length;
    // Of x, which is nobody's result, for each product, and of the four weights.
    expect(count('stage-half')).toBe(7);
    expect(count('half-rows/bound')).toBe(4);
    expect(count('layerNorm rotary')).toBe(2);
    const { heard: want } = await runOp(device, inputs, values, fn);
    await withTile(
      trace(inputs, ({ x }) => ({
        out: attention(
          ...([x, x, x].map((y) => reshape(y, [batch, rows, heads, headDim])) as [Tensor, Tensor, Tensor]),
        ),
      })),
      ({ keys, bands }) => keys === 16 && bands === 2,
      async () => {
        const { heard } = await run(inputs, values, ['matmul', 'attention'], fn);
        expect(relativeError(heard, want as Float32Array)).toBeLessThan(2 * BOUND);
      },
    );
  });

  const convolved = (more: Partial<ConvShape>): ConvShape => ({
    ...{ batch: 1, frames: 2, height: 7, width: 9, inChannels: 8, outChannels: 20, kernel: [3, 3, 3] },
    ...{ stride: 1, padding: { top: 1, bottom: 1, left: 1, right: 1 }, cached: false },
    upsample: { time: 1, space: 1, keepFirst: false },
    ...more,
  });
  const CONVOLVED: readonly (readonly [string, ConvShape, Device])[] = [
    ['a clip', convolved({ batch: 2, frames: 3 }), device],
    ['with a cache, without bounds checks', convolved({ cached: true, inChannels: 24 }), unchecked],
    ['with a stride', convolved({ kernel: [1, 3, 3], stride: 2, height: 8 }), device],
    [
      'up-sampled',
      convolved({ kernel: [1, 3, 3], upsample: { time: 1, space: 2, keepFirst: false } }),
      device,
    ],
  ];

  test.each(CONVOLVED)('convolution of %s', async (_, shape, on) => {
    const { batch, frames, height, width, inChannels, outChannels, kernel, cached } = shape;
    const inputs = {
      x: spec([batch, frames, height, width, inChannels]),
      weight: spec([...kernel, inChannels, outChannels]),
      ...(cached && { cache: spec([batch, kernel[0] - 1, height, width, inChannels]) }),
    };
    const values = {
      ...{ x: normals(inputs.x.shape), weight: normals(inputs.weight.shape) },
      ...(cached && { cache: normals(inputs.cache!.shape) }),
    };
    const { stride, padding, upsample } = shape;
    const { out } = await run(
      inputs,
      values as never,
      ['conv'],
      ({ x, weight, ...more }) => ({
        out: conv3d(x, weight, { stride, padding, upsample, ...(more as { cache?: Tensor }) }),
      }),
      on,
    );
    expect(out.length).toBe(elementCount(convOutputShape(shape)));
    expect(relativeError(out, convReference(shape, values.x, values.weight, values.cache))).toBeLessThan(
      BOUND,
    );
  });

  test("the 5B's own shapes take matrix units", () => {
    const product: MatmulSpec = {
      ...{ batch: 1, m: 17776, n: 3072, k: 3072, transposeA: false, transposeB: true, sharedB: true },
      ...{ dtypeA: 'f32', dtypeB: 'bf16', dtypeOut: 'f32', halfPrecision: true, epilogue: undefined },
    };
    expect(MATMUL_VARIANTS.find((variant) => variant.applies(product, device.caps))?.name).toBe('matrix');
    const heads: AttentionSpec = {
      ...{ batch: 1, queries: 17776, keys: 17776, heads: 48, headDim: 64, scale: 1, mask: false },
      ...{ dtypes: { q: 'f32', k: 'f32', v: 'f32' }, halfPrecision: true },
    };
    expect(ATTENTION_VARIANTS.find((variant) => variant.applies(heads, device.caps))?.name).toBe('matrix');
    const tile: ConvSpec = {
      ...convolved({ frames: 8, height: 240, width: 360, inChannels: 128, outChannels: 128, cached: true }),
      ...{ weightDtype: 'bf16', precision: 'f16', outputDtype: 'f32' },
      fusion: { shape: [1], expression: { kind: 'accumulator' }, operands: [] },
    };
    expect(CONV_VARIANTS.find((variant) => variant.applies(tile, device.caps))?.name).toBe('matrix');
  });
});
