import { Decisions, type DeviceCaps, elementCount } from '@dwm/kernels-wgsl';
import { layerNormReference, matmulReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { add, div, geluTanh, layerNorm, linear, matmul, mul, rmsNorm, slice, softmax } from '../index.ts';
import { openNodeDevice } from '../node/index.ts';
import { Program, trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { type Plan, planProgram } from './plan.ts';

const device = await openNodeDevice();
const [rows, dim, wide] = [37, 96, 160];

const INPUTS = {
  x: spec([rows, dim]),
  gamma: spec([dim]),
  beta: spec([dim]),
  /** Shift, scale and gate. */
  given: spec([3 * dim]),
  weight: spec([dim, dim]),
  up: spec([wide, dim]),
  down: spec([dim, wide]),
  bias: spec([wide]),
};
type Inputs = { [K in keyof typeof INPUTS]: Tensor };
type Values = Record<keyof typeof INPUTS, Float32Array>;
const PRODUCT = { batch: 1, m: rows, transposeA: false, transposeB: true, sharedB: true };

const part = ({ given }: Inputs, nth: number) => slice(given, 0, nth * dim, dim);

/** The adaptive norm of a transformer block. */
const modulated = (all: Inputs) =>
  add(
    mul(layerNorm(all.x, { eps: 1e-5, gamma: all.gamma, beta: all.beta }), add(part(all, 1), 1)),
    part(all, 0),
  );

const feedForward = (all: Inputs) => {
  const hidden = geluTanh(linear(modulated(all), all.up, all.bias));
  return { out: add(all.x, mul(part(all, 2), linear(hidden, all.down))) };
};

/** As a GPU is, on a device that may be none. */
const caps: DeviceCaps = { ...device.caps, adapter: { ...device.caps.adapter, kind: 'hardware' } };

/** Products are in f16, by matrix units or without. */
function planFor(build: (all: Inputs) => Record<string, Tensor>): Plan {
  const outputs = trace(INPUTS, build);
  const decisions = new Decisions();
  for (const { receipt } of planProgram(outputs, { caps, decisions }, 'f16').steps) {
    const inHalves = receipt
      ?.alternatives()
      .find(({ variant }) => variant === 'matrix' || variant === 'half');
    if (receipt && inHalves) decisions.choices.set(receipt.key, inHalves);
  }
  return planProgram(outputs, { caps, decisions }, 'f16');
}

/** Kernels, without their steps and tiles. */
const labels = (plan: Plan) => plan.dispatches.map(({ label }) => label.split(': ')[1].split(' ')[0]);
const count = (plan: Plan, name: string) => labels(plan).filter((label) => label === name).length;
const PRODUCTS = /^matmul\/(matrix|half)$/;

const withHalves = test.skipIf(!device.caps.features.f16);

const random = seeded(5);
const ordinary = Object.fromEntries(
  Object.entries(INPUTS).map(([name, { shape }]) => [name, randomNormals(elementCount(shape), random)]),
) as Values;

/** The feed-forward in float64. */
function reference({ x, gamma, beta, given, up, down, bias }: Values): Float64Array {
  const linearReference = (a: ArrayLike<number>, b: Float32Array, n: number, k: number) =>
    matmulReference({ ...PRODUCT, n, k }, a, b);
  const f = layerNormReference(x, dim, { eps: 1e-5, center: true, gamma, beta }).map(
    (value, i) => value * (1 + given[dim + (i % dim)]) + given[i % dim],
  );
  const hidden = linearReference(f, up, wide, dim).map((sum, i) => {
    const v = sum + bias[i % wide];
    return (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
  });
  return linearReference(hidden, down, dim, wide).map((y, i) => x[i] + given[2 * dim + (i % dim)] * y);
}

withHalves('a feed-forward passes halves on, and they are right', async () => {
  const plan = planFor(feedForward);
  // Of both weights; the rows come as halves.
  expect(count(plan, 'matmul/stage-half')).toBe(2);
  expect(count(plan, 'half-rows/bound')).toBe(2);
  const program = await Program.build<typeof INPUTS, Record<string, Tensor>>(device, plan, INPUTS);
  const largest = { ...ordinary, x: ordinary.x.slice(), up: ordinary.up.slice() };
  // A row of zeros, one that is all in one channel, and a unit a million times as large as the others.
  largest.x.fill(0, 0, dim);
  largest.x[5 * dim + 17] = 1e20;
  for (let i = 0; i < dim; i++) largest.up[3 * dim + i] *= 1e6;
  for (const values of [ordinary, largest]) {
    const { out } = await program.run(values);
    const [got, want] = [(await out.read()) as Float32Array, reference(values)];
    if (values === ordinary) expect(relativeError(got, want)).toBeLessThan(1e-3);
    // Of one product of a single unit, where what is added up cancels out.
    for (let row = 0; row < rows; row++) {
      const of = (all: Float32Array | Float64Array) => all.subarray(row * dim, (row + 1) * dim);
      expect(relativeError(of(got), of(want)), `row ${row}`).toBeLessThan(1e-2);
    }
  }
  const broken = { ...ordinary, x: ordinary.x.slice() };
  broken.x[2 * dim + 1] = Number.NaN;
  const { out } = await program.run(broken);
  const got = (await out.read()) as Float32Array;
  expect(got.findIndex(Number.isNaN)).toBe(2 * dim);
  program.destroy();
});

withHalves('rows that several products read become halves once', () => {
  const bounded = planFor((all) => {
    const a = modulated(all);
    return { q: linear(a, all.weight), k: linear(a, all.up) };
  });
  expect(labels(bounded).filter((label) => !label.startsWith('pointwise'))).toEqual([
    'half-rows/bound',
    'layerNorm/team',
    ...[
      'matmul/stage-half',
      expect.stringMatching(PRODUCTS),
      'matmul/stage-half',
      expect.stringMatching(PRODUCTS),
    ],
  ]);
  // What has no bound is turned into halves by the first that reads it.
  const unbound = planFor((all) => {
    const a = softmax(all.x);
    return { q: linear(a, all.weight), k: linear(a, all.up) };
  });
  expect(count(unbound, 'half-rows/bound')).toBe(0);
  expect(count(unbound, 'matmul/stage-half')).toBe(3);
});

withHalves.each<[string, (all: Inputs) => Record<string, Tensor>]>([
  ['a program gives it out', (all) => ((h) => ({ h, out: linear(h, all.weight) }))(modulated(all))],
  ['something reads its values', (all) => ((h) => ({ out: add(linear(h, all.weight), h) }))(modulated(all))],
  [
    'its columns are summed over',
    (all) => ((h) => ({ out: matmul(h, all.x, { transposeA: true }) }))(modulated(all)),
  ],
  [
    'what is done to it has no bound',
    (all) => ({ out: linear(div(linear(all.x, all.weight), part(all, 1)), all.weight) }),
  ],
])('a result stays in f32 where %s', (_, build) => {
  expect(count(planFor(build), 'half-rows/bound')).toBe(0);
});

withHalves('a norm of RMS, and results that nothing is done to, are bounded too', () => {
  const plan = planFor(({ x, weight }) => ({
    out: linear(linear(rmsNorm(x, { eps: 1e-6 }), weight), weight),
  }));
  expect(count(plan, 'half-rows/bound')).toBe(2);
});
