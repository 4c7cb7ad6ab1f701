import { elementCount } from '@dwm/kernels-wgsl';
import {
  apply,
  constant as constantLeaf,
  differentiate,
  evaluate,
  operand,
} from '@dwm/kernels-wgsl/pointwise';
import { expect, test } from 'vitest';
import * as ops from '../index.ts';
import { add, div, grad, matmul, mul, sum, type Tensor, valueAndGrad } from '../index.ts';
import { openNodeDevice } from '../node/index.ts';
import { runOp } from '../ops/testing.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { input, record, spec, type TensorSpec } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { checkGradients } from './testing.ts';

const device = await openNodeDevice();

const all = (x: Tensor) => [...x.shape.keys()];
const total = (x: Tensor) => sum(x, all(x));

function normals<I extends Record<string, TensorSpec>>(inputs: I, seed = 3) {
  const random = seeded(seed);
  const entries = Object.entries(inputs).map(([name, { shape }]) => [
    name,
    randomNormals(elementCount(shape), random),
  ]);
  return Object.fromEntries(entries) as { [K in keyof I]: Float32Array<ArrayBuffer> };
}

type Case<N extends string = string> = [
  name: string,
  shapes: Record<N, number[]>,
  fn: (t: Record<N, Tensor>) => Tensor,
];
const cases: Case[] = [
  [
    'broadcast sum and product',
    { a: [3, 1, 5], b: [2, 1], c: [5] },
    ({ a, b, c }) => add(mul(a, b), mul(c, a)),
  ],
  ['scalars on both sides', { a: [4, 3] }, ({ a }) => ops.sub(2, mul(3, ops.neg(a)))],
  ['reshape of permute', { a: [2, 3, 4] }, ({ a }) => ops.reshape(ops.permute(a, [2, 0, 1]), [8, 3])],
  [
    'overlapping slices and a gap',
    { a: [2, 9, 3] },
    ({ a }) =>
      mul(ops.slice(a, 1, 0, 4), add(ops.slice(a, 1, 2, 4), ops.slice(ops.slice(a, 1, 3, 5), 1, 1, 4))),
  ],
  [
    'slices of two dimensions',
    { a: [4, 4] },
    ({ a }) => mul(ops.slice(a, 0, 1, 2), ops.permute(ops.slice(a, 1, 1, 2), [1, 0])),
  ],
  ['broadcastTo', { a: [3, 1] }, ({ a }) => ops.broadcastTo(a, [2, 3, 4])],
  ['repeat', { a: [2, 3, 2] }, ({ a }) => ops.repeat(ops.repeat(a, 1, 2), 2, 3)],
  ['repeat, first kept', { a: [3, 2, 2] }, ({ a }) => ops.repeat(ops.repeat(a, 0, 2, true), 1, 2)],
  ['repeat of one, first kept', { a: [1, 3] }, ({ a }) => ops.repeat(a, 0, 4, true)],
  ['concat', { a: [2, 3], b: [2, 1] }, ({ a, b }) => ops.concat([a, mul(b, b), a], 1)],
  ['pad', { a: [2, 3] }, ({ a }) => ops.pad(ops.pad(a, 0, 1, 2, 5), 1, 0, 3)],
  [
    'split',
    { a: [3, 8] },
    ({ a }) => {
      const [x, y, z] = ops.split(a, 1, [3, 2, 3]);
      return add(mul(x, z), ops.slice(y, 1, 0, 1));
    },
  ],
  ['splitAt', { a: [3, 4], b: [4] }, ({ a, b }) => ops.splitAt([3, 4], 1, 2, mul(a, a), b)],
  ['sum of outer dimensions', { a: [3, 4, 5] }, ({ a }) => mul(sum(a, [0, 2]), sum(a, [0, 2]))],
  ['mean of the middle', { a: [3, 4, 5] }, ({ a }) => mul(a, ops.mean(a, [1], true))],
  [
    'linear with bias',
    { x: [2, 3, 5], w: [4, 5], b: [4] },
    ({ x, w, b }) => ops.geluTanh(ops.linear(x, w, b)),
  ],
  ['the same tensor three times', { a: [5, 5] }, ({ a }) => matmul(a, matmul(a, a), { transposeB: true })],
  [
    'rms norm by hand',
    { x: [3, 8], w: [8] },
    ({ x, w }) => mul(mul(x, ops.rsqrt(add(ops.mean(mul(x, x), [1], true), 1e-3))), w),
  ],
];

test.each(cases)('%s: differences agree', async (_, shapes, fn) => {
  const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, spec(shape)]));
  const errors = await checkGradients(device, inputs, normals(inputs), fn);
  for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(1e-4);
});

test.each([false, true].flatMap((a) => [false, true].map((b) => [a, b] as const)))(
  'matmul, transposed %s %s: batched, shared and plain',
  async (transposeA, transposeB) => {
    const of = (lead: number[], rows: number, columns: number, swapped: boolean) =>
      spec([...lead, ...(swapped ? [columns, rows] : [rows, columns])]);
    for (const [leadA, leadB] of [
      [[], []],
      [
        [2, 2],
        [2, 2],
      ],
      [[3], []],
    ]) {
      const inputs = { a: of(leadA, 3, 5, transposeA), b: of(leadB, 5, 4, transposeB) };
      const errors = await checkGradients(device, inputs, normals(inputs), ({ a, b }) =>
        matmul(a, b, { transposeA, transposeB }),
      );
      for (const error of Object.values(errors)) expect(error).toBeLessThan(1e-4);
    }
  },
);

test('the gradients of a matmul copy nothing', () => {
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      const inputs = { a: spec([2, 6, 6]), b: spec([2, 6, 6]), g: spec([2, 6, 6]) };
      const plan = planProgram(
        trace(inputs, ({ a, b, g }) => {
          const [da, db] = grad(total(mul(matmul(a, b, { transposeA, transposeB }), g)), [a, b]);
          return { da, db };
        }),
        device,
      );
      const labels = plan.dispatches.map(({ label }) => label);
      expect(labels.every((label) => label.startsWith('matmul') || label.startsWith('pointwise'))).toBe(true);
      expect(labels.filter((label) => label.startsWith('pointwise')).length).toBeLessThanOrEqual(1);
    }
  }
});

test('maxima of well separated values: differences agree', async () => {
  const random = seeded(2);
  const order = [...Array(42).keys()].map((i) => [random(), i]).sort(([a], [b]) => a - b);
  const a = Float32Array.from(order, ([, i]) => (i + 1) * (i % 2 ? 0.25 : -0.25));
  const errors = await checkGradients(device, { a: spec([3, 7, 2]) }, { a }, (t) =>
    ops.concat(
      [
        mul(ops.max(t.a, [1]), 2),
        ops.absMax(t.a, [1]),
        ops.reshape(ops.slice(ops.absMax(t.a, [0, 2]), 0, 0, 6), [3, 2]),
      ],
      0,
    ),
  );
  expect(errors.a).toBeLessThan(1e-4);
});

const { neg, abs, exp, log, sqrt, rsqrt, floor, sigmoid, tanh, silu, gelu, geluTanh } = ops;
const unary = { neg, abs, exp, log, sqrt, rsqrt, floor, sigmoid, tanh, silu, gelu, geluTanh };

test('slopes of functions on the device equal those in float64', async () => {
  const x = Float32Array.from({ length: 403 }, (_, i) => (i - 201.25) / 25);
  const positive = x.map((value) => Math.abs(value));
  const needsPositive = (name: string) => ['log', 'sqrt', 'rsqrt'].includes(name);
  const inputs = { x: spec([403]), positive: spec([403]) };
  const got: Record<string, ArrayLike<number>> = await runOp(device, inputs, { x, positive }, (t) =>
    Object.fromEntries(
      Object.entries(unary).map(([name, fn]) => {
        const at = needsPositive(name) ? t.positive : t.x;
        return [name, grad(total(fn(at)), [at])[0]];
      }),
    ),
  );
  for (const name of Object.keys(unary) as (keyof typeof unary)[]) {
    const [slope] = differentiate(apply(name, operand(0)), constantLeaf(1));
    const want = Float64Array.from(needsPositive(name) ? positive : x, (value) =>
      slope ? evaluate(slope, () => value) : 0,
    );
    expect(relativeError(got[name], want), name).toBeLessThan(2e-6);
  }
});

test('minimum, maximum, less, where and division: differences agree', async () => {
  const inputs = { a: spec([12]), b: spec([12]), c: spec([12]) };
  const errors = await checkGradients(
    device,
    inputs,
    normals(inputs, 8),
    ({ a, b, c }) => {
      const chosen = ops.where(ops.less(a, b), mul(a, c), mul(b, b));
      return add(add(chosen, ops.minimum(a, c)), div(ops.maximum(b, c), add(mul(a, a), 1)));
    },
    1 / 256,
  );
  for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(1e-3);
});

test('equal arguments and equal maxima share the gradient', async () => {
  const x = Float32Array.from([1, 3, 3, 0, -3, 2]);
  const got = await runOp(device, { x: spec([2, 3]) }, { x }, (t) => ({
    max: grad(total(ops.max(t.x, [1])), [t.x])[0],
    absMax: grad(total(ops.absMax(t.x, [0, 1])), [t.x])[0],
    relu: grad(total(ops.maximum(t.x, 0)), [t.x])[0],
  }));
  expect([...got.max]).toEqual([0, 0.5, 0.5, 0, 0, 1]);
  expect([...got.absMax].map((value) => Math.round(value * 3000) / 1000)).toEqual([0, 1, 1, 0, -1, 0]);
  expect([...got.relu]).toEqual([1, 1, 1, 0.5, 0, 1]);
});

test('gradients of half weights are f32, and rounding passes them on', async () => {
  const random = seeded(5);
  const [x, w] = [randomNormals(12, random), randomNormals(20, random)];
  const bits = new Uint16Array(new Uint32Array(w.buffer).map((word) => word >>> 16));
  const inputs = { x: spec([3, 4]), w: spec([5, 4], 'bf16') };
  const { dx, dw } = await runOp(device, inputs, { x, w: bits }, (t) => {
    const out = ops.cast(ops.linear(ops.cast(t.x, 'bf16'), t.w), 'f16');
    const [gx, gw] = grad(total(out), [t.x, t.w]);
    return { dx: gx, dw: gw };
  });
  const rounded = Float32Array.from(bits, (half) => new Float32Array(Uint32Array.of(half << 16).buffer)[0]);
  const want = Float64Array.from({ length: 12 }, (_, i) =>
    [0, 1, 2, 3, 4].reduce((s, n) => s + rounded[n * 4 + (i % 4)], 0),
  );
  expect(dx).toBeInstanceOf(Float32Array);
  expect(relativeError(dx, want)).toBeLessThan(1e-6);
  const columns = Float64Array.from({ length: 20 }, (_, i) => x[i % 4] + x[4 + (i % 4)] + x[8 + (i % 4)]);
  expect(relativeError(dw, columns)).toBeLessThan(5e-3);
});

/** Two linear layers with a bias; which of them are trained is up to the caller. */
const mlp = ({ x, w1, b1, w2 }: Record<'x' | 'w1' | 'b1' | 'w2', Tensor>) =>
  ops.mean(ops.linear(ops.silu(ops.linear(x, w1, b1)), w2), [0, 1]);
const mlpInputs = { x: spec([6, 4]), w1: spec([8, 4]), b1: spec([8]), w2: spec([3, 8]) };

function work(wrt: readonly (keyof typeof mlpInputs)[]) {
  const outputs = trace(mlpInputs, (t) => {
    const loss = mlp(t);
    const gradients = grad(
      loss,
      wrt.map((name) => t[name]),
    );
    return { loss, ...Object.fromEntries(gradients.map((g, k) => [`d${k}`, g])) };
  });
  const { dispatches } = planProgram(outputs, device);
  return dispatches.filter(({ label }) => label.startsWith('matmul')).length;
}

test('frozen parameters cost nothing', () => {
  expect(work([])).toBe(2);
  // Only the last weight: one matmul for it, nothing before it.
  expect(work(['w2'])).toBe(3);
  // The bias needs the way back through w2 only.
  expect(work(['b1'])).toBe(3);
  expect(work(['w1'])).toBe(4);
  expect(work(['x'])).toBe(4);
  expect(work(['x', 'w1', 'b1', 'w2'])).toBe(6);
});

test('what broadcasting spreads over many rows is not kept', async () => {
  const [rows, width, layers] = [96, 16, 6];
  const inputs = { x: spec([rows, width]), a: spec([1, width]), b: spec([1, width]) };
  const fn = (t: Record<'x' | 'a' | 'b', Tensor>) => {
    let { x } = t;
    for (let at = 0; at < layers; at++) {
      x = silu(mul(x, add(ops.splitAt([rows, width], 0, 40, t.a, t.b), 1)));
    }
    const [dx, da, db] = grad(total(x), [t.x, t.a, t.b]);
    return { dx, da, db };
  };
  // Every layer keeps the product and the activation, and neither the scales nor the scales plus one.
  const kept = rows * width * 4 * 2 * layers;
  expect(planProgram(trace(inputs, fn), device).memory.arena).toBeLessThan(kept * 1.3);
  const errors = await checkGradients(device, inputs, normals(inputs), ({ x, a, b }) =>
    silu(mul(x, add(ops.splitAt([rows, width], 0, 40, a, b), 1))),
  );
  for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(1e-4);
});

test('intermediates have gradients; a stopped gradient and an unused input have zeros', async () => {
  const inputs = { a: spec([2, 3]), b: spec([2, 3]), c: spec([4]) };
  const values = normals(inputs);
  const got = await runOp(device, inputs, values, (t) => {
    const product = mul(t.a, t.b);
    const loss = total(mul(product, ops.stopGradient(t.a)));
    const [dProduct, da, db, dc] = grad(loss, [product, t.a, t.b, t.c]);
    return { dProduct, da, db, dc };
  });
  expect(got.dProduct).toEqual(values.a);
  expect(
    relativeError(
      got.da,
      values.a.map((a, i) => a * values.b[i]),
    ),
  ).toBeLessThan(1e-6);
  expect(
    relativeError(
      got.db,
      values.a.map((a) => a * a),
    ),
  ).toBeLessThan(1e-6);
  expect([...got.dc]).toEqual([0, 0, 0, 0]);
});

test('gradients of gradients', async () => {
  const x = randomNormals(7, seeded(6));
  const { second } = await runOp(device, { x: spec([7]) }, { x }, (t) => {
    const [first] = grad(total(mul(mul(t.x, t.x), t.x)), [t.x]);
    return { second: grad(total(first), [t.x])[0] };
  });
  expect(
    relativeError(
      second,
      x.map((value) => 6 * value),
    ),
  ).toBeLessThan(1e-6);
});

test('f16 multiplication needs no loss scaling: gradients far below f16 are as exact as others', async (context) => {
  if (!device.caps.features.f16) context.skip('the adapter has no f16');
  // CPU adapters multiply in f32; the plan of a GPU runs on them all the same.
  const caps = { ...device.caps, adapter: { ...device.caps.adapter, kind: 'hardware' as const } };
  const inputs = { x: spec([24, 16]), w: spec([12, 16]), g: spec([24, 12]) };
  const values = normals(inputs);
  const outputs = trace(inputs, (t) => {
    const loss = total(mul(mul(ops.linear(t.x, t.w), t.g), 1e-9));
    return { dw: grad(loss, [t.w])[0] };
  });
  const plan = planProgram(outputs, { caps }, 'f16');
  const program = await Program.create<typeof inputs, typeof outputs>(device, plan, inputs);
  const half = await (await program.run(values)).dw.read();
  program.destroy();
  const exact = Float64Array.from({ length: 12 * 16 }, (_, i) => {
    const [n, k] = [Math.floor(i / 16), i % 16];
    return Array.from({ length: 24 }, (_, m) => values.g[m * 12 + n] * values.x[m * 16 + k] * 1e-9).reduce(
      (a, b) => a + b,
    );
  });
  expect(relativeError(half, exact)).toBeLessThan(2e-3);
  expect(relativeError(half, exact)).toBeGreaterThan(1e-6);
});

test('valueAndGrad names its gradients; runs repeat bit for bit', async () => {
  const values = normals(mlpInputs);
  const run = () =>
    runOp(device, mlpInputs, values, (t) => {
      const { value, gradients } = valueAndGrad(({ w1, b1, w2 }) => mlp({ ...t, w1, b1, w2 }), t);
      return { value, ...gradients };
    });
  const got = await run();
  expect(got.w1.length).toBe(32);
  expect([...got.b1].some((value) => value !== 0)).toBe(true);
  expect(await run()).toEqual(got);
});

test('what cannot be differentiated says so', () => {
  const x = input('x', spec([2, 3]));
  expect(() => grad(x, [x])).toThrow('the loss must be one f32 value, got f32 [2,3]');
  const ids = input('ids', spec([2], 'u32'));
  expect(() => grad(total(x), [ids])).toThrow('no gradient with respect to u32 [2]');
  const op = {
    kind: 'kernel',
    name: 'sort',
    cost: { flops: 0, bytes: 0 },
    epilogue: false,
    bindings: 2,
  } as const;
  const [sorted] = record({ ...op, lower: () => ({ dispatches: [], scratch: [] }) }, [x], [spec([2, 3])]);
  expect(() => grad(total(sorted), [x])).toThrow('sort has no gradient');
  expect(() => grad(total(ops.stopGradient(sorted)), [x])).not.toThrow();
});
