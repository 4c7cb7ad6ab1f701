import { type Device, mean, mul, spec, sqrt, sub } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LossScale } from './loss-scale.ts';
import { adamw8bitOptimizer, adamwOptimizer, type Optimizer, sgdOptimizer } from './optimizer.ts';
import { PackedLayout } from './packed.ts';
import { fromBf16, toBf16 } from './peers.ts';
import { peersHere } from './testing.ts';
import { emaDecayAt, type LossFunction, TrainStep, type TrainStepOptions } from './train-step.ts';
import type { Trainable } from './trainable.ts';

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device?.destroy());

const N = 70;
const layout = new PackedLayout({ w: [N] });
const start = Float32Array.from({ length: layout.length }, (_, i) => (i < N ? Math.sin(3 * i) : 0));
const trainable: Trainable = {
  layout,
  initial: async () => start,
  bind(packed) {
    const trained = new Map([['w', layout.part(packed, 'w')]]);
    return { trained, weights: { get: (name) => trained.get(name)!, has: (name) => trained.has(name) } };
  },
};
/** mean((w - x)²), whose gradient is 2 (w - x) / N. */
const loss: LossFunction<{ x: ReturnType<typeof spec> }> = {
  inputs: { x: spec([N]) },
  loss: (weights, { x }) => {
    const error = sub(weights.get('w'), x);
    return mean(mul(error, error), [0], true);
  },
};
const target = (k: number) => Float32Array.from({ length: N }, (_, i) => Math.cos(i * k));
const create = (options: Partial<TrainStepOptions> & { optimizer: Optimizer }, fn = loss) =>
  TrainStep.create(device, trainable, fn, { maxGradNorm: Number.POSITIVE_INFINITY, ...options });
const rates = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01 };

test('SGD with decay over three micro-batches, and the running average, as in float64', async () => {
  const step = await create({ optimizer: sgdOptimizer(0.1), microBatches: 3, emaDecay: 0.5 });
  const [w, ema] = [Float64Array.from(start), Float64Array.from(start)];
  for (let k = 1; k <= 8; k++) {
    const batches = [k, k + 0.3, k + 0.6].map((x) => ({ x: target(x) }));
    const lr = 2 / k;
    const got = await step.run(batches, k, lr);
    let total = 0;
    let norm = 0;
    const decay = emaDecayAt(k, 0.5);
    for (let i = 0; i < N; i++) {
      let gradient = 0;
      for (const { x } of batches) {
        total += (w[i] - x[i]) ** 2 / N / 3;
        gradient += (2 * (w[i] - x[i])) / N / 3;
      }
      norm += gradient ** 2;
      w[i] = w[i] * (1 - lr * 0.1) - lr * gradient;
      ema[i] = decay * ema[i] + (1 - decay) * w[i];
    }
    expect(got.loss).toBeCloseTo(total, 5);
    expect(got.norm).toBeCloseTo(Math.sqrt(norm), 5);
  }
  const [theta, average] = [await step.theta.read(), await step.weights.read()];
  for (let i = 0; i < N; i++) {
    expect(theta[i]).toBeCloseTo(w[i], 5);
    expect(average[i]).toBeCloseTo(ema[i], 5);
  }
  expect(Math.hypot(...ema.map((value, i) => value - w[i]))).toBeGreaterThan(0.01);
  step.destroy();
});

test('moments of 8 bits track those of 32', async () => {
  const runs = [adamwOptimizer(layout.length, rates), adamw8bitOptimizer(layout.length, rates)];
  const finals: Float32Array[] = [];
  const losses: number[] = [];
  for (const optimizer of runs) {
    const step = await create({ optimizer });
    let last = 0;
    for (let k = 1; k <= 120; k++) {
      // A noisy target, so that moments do not just die away.
      const x = target(1).map((value, i) => value + 0.3 * Math.sin(7 * k + i));
      ({ loss: last } = await step.run([{ x }], k, 2e-2));
    }
    finals.push(Float32Array.from(await step.theta.read()));
    losses.push(last);
    step.destroy();
  }
  const moved = Math.hypot(...finals[0].map((value, i) => value - start[i]));
  const apart = Math.hypot(...finals[0].map((value, i) => value - finals[1][i]));
  expect(moved).toBeGreaterThan(1);
  expect(apart / moved).toBeLessThan(0.02);
  expect(Math.abs(losses[1] - losses[0]) / losses[0]).toBeLessThan(0.02);
});

test.each([
  ['adamw', () => adamwOptimizer(layout.length, rates)],
  ['adamw8bit', () => adamw8bitOptimizer(layout.length, rates)],
  ['sgd', () => sgdOptimizer(0.1)],
] as const)('%s: a state read and put back goes on with the same bits', async (_, optimizer) => {
  const options = { optimizer: optimizer(), microBatches: 2, emaDecay: 0.99, halfPrecision: true };
  const run = (step: Awaited<ReturnType<typeof create>>, k: number) =>
    step.run([{ x: target(k) }, { x: target(-k) }], k, 1e-2);
  const whole = await create(options);
  for (let k = 1; k <= 6; k++) await run(whole, k);
  const first = await create(options);
  for (let k = 1; k <= 3; k++) await run(first, k);
  const state = await first.state();
  const second = await create(options);
  second.restore(state);
  for (let k = 4; k <= 6; k++) await run(second, k);
  expect(await second.state()).toEqual(await whole.state());
  for (const step of [whole, first, second]) step.destroy();
});

test('a gradient that overflows leaves the step out and halves the scale', async () => {
  /** mean(w - x), whose gradient passes through scale · 1e37 / N. The factors are inputs, so that nothing cancels them. */
  const huge: LossFunction<Record<'x' | 'up' | 'down', ReturnType<typeof spec>>> = {
    inputs: { x: spec([N]), up: spec([1]), down: spec([1]) },
    loss: (weights, { x, up, down }) => mean(mul(mul(sub(weights.get('w'), x), down), up), [0], true),
  };
  const given = { x: target(1), up: Float32Array.of(1e37), down: Float32Array.of(1e-37) };
  const options = { optimizer: sgdOptimizer(0), maxGradNorm: Number.POSITIVE_INFINITY, halfPrecision: true };
  const step = await TrainStep.create(device, trainable, huge, options);
  const before = await step.theta.read();
  const { lossScale } = await step.state();
  const results = [];
  for (let k = 1; k <= 20; k++) results.push(await step.run([given], k, 1));
  const skipped = results.filter((result) => result.skipped).length;
  expect(results[0].skipped).toBe(true);
  expect(skipped).toBeGreaterThan(3);
  expect(skipped).toBeLessThan(16);
  // Once it fits, all steps count.
  expect(results.slice(skipped).every((result) => !result.skipped)).toBe(true);
  const state = await step.state();
  expect(state.lossScale).toEqual({
    scale: lossScale!.scale / 2 ** skipped,
    good: 20 - skipped,
    skipped,
  });
  const after = await step.theta.read();
  for (let i = 0; i < N; i++) expect(after[i]).toBeCloseTo(before[i] - (20 - skipped) / N, 4);
  step.destroy();
});

test('without a scale a gradient that is not finite stops the run, the weights as they were', async () => {
  const bad: typeof loss = {
    inputs: loss.inputs,
    loss: (weights, { x }) => {
      // The slope of the root at 0.
      const error = sub(weights.get('w'), x);
      return mean(sqrt(mul(error, error)), [0], true);
    },
  };
  const step = await create({ optimizer: sgdOptimizer(0) }, bad);
  await expect(step.run([{ x: start.slice(0, N) }], 1, 1)).rejects.toThrow(
    'the norm of the gradients is not a finite',
  );
  expect(await step.theta.read()).toEqual(start);
  step.destroy();
});

test('the scale grows after many good steps', () => {
  const scale = new LossScale();
  const { scale: first } = scale.state;
  for (let k = 0; k < 1999; k++) scale.succeed();
  expect(scale.state.scale).toBe(first);
  scale.succeed();
  expect(scale.state).toEqual({ scale: 2 * first, good: 0, skipped: 0 });
});

test('only the beginning of the gradient is clipped, and its norm alone is told', async () => {
  const clippedLength = 30;
  const step = await create({ optimizer: sgdOptimizer(0), maxGradNorm: 0.05, clippedLength });
  const x = target(1.7);
  const gradient = Float64Array.from(x, (value, i) => (2 * (start[i] - value)) / N);
  const norm = Math.hypot(...gradient.subarray(0, clippedLength));
  const got = await step.run([{ x }], 1, 1);
  expect(got.norm).toBeCloseTo(norm, 5);
  expect(norm).toBeGreaterThan(0.06);
  const theta = (await step.theta.read()) as Float32Array;
  for (let i = 0; i < N; i++) {
    const factor = i < clippedLength ? 0.05 / norm : 1;
    expect(theta[i]).toBeCloseTo(start[i] - factor * gradient[i], 5);
  }
  step.destroy();
});

test('six micro-batches of one, two and three processes: the same bits after every step', async () => {
  const options = { optimizer: adamwOptimizer(layout.length, rates), microBatches: 6, maxGradNorm: 0.02 };
  const batches = [1, 2, 3, 4, 5, 6].map((k) => ({ x: target(k) }));
  const run = async (count: number, more: Partial<TrainStepOptions> = {}) => {
    const peers = count === 1 ? [undefined] : peersHere(count);
    const own = (rank: number) => batches.filter((_, i) => i % count === rank);
    const steps = await Promise.all(peers.map((one) => create({ ...options, ...more, peers: one })));
    const results: unknown[] = [];
    for (let k = 1; k <= 4; k++) {
      // The second process is asked to stop at the last step.
      const got = await Promise.all(
        steps.map((step, rank) => step.run(own(rank), k, 0.1, k === 4 && rank === count - 1)),
      );
      for (const one of got) expect(one).toEqual(got[0]);
      results.push(got[0], ...((await steps[0].theta.read()) as Float32Array));
    }
    const all = await Promise.all(steps.map(async (step) => (await step.state()).tensors));
    for (const tensors of all) expect(tensors).toEqual(all[0]);
    for (const step of steps) step.destroy();
    return results;
  };
  const alone = await run(1);
  expect(await run(2)).toEqual(alone);
  expect(await run(3)).toEqual(alone);
  const rounded = await run(2, { wire: { bf16: true } });
  expect(rounded).not.toEqual(alone);
  expect(await run(3, { wire: { bf16: true } })).toEqual(rounded);
});

test('bf16 is the nearest, ties to even; infinities and NaN stay what they are', () => {
  const given = [1, -2.5, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.4e38, 1e-40, Number.POSITIVE_INFINITY, Number.NaN];
  const got = [...fromBf16(toBf16(Float32Array.from(given)))];
  expect(got.slice(0, 4)).toEqual([1, -2.5, 1, 1 + 2 ** -6]);
  expect(got[4]).toBe(Number.POSITIVE_INFINITY);
  expect(Math.abs(got[5] - 1e-40)).toBeLessThan(1e-40);
  expect(got.slice(6)).toEqual([Number.POSITIVE_INFINITY, Number.NaN]);
});
