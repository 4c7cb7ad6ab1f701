import { MOMENT_BLOCK } from '@dwm/kernels-wgsl';
import { ADAMW8BIT_COUNTS, adamw8bitReference, decodeMoments, momentValue } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { adamw8bit, adamw8bitState } from './adamw8bit.ts';
import { runOp } from './testing.ts';

const device = await openNodeDevice();
const RATES = { beta1: 0.9, beta2: 0.95, eps: 1e-8 };
const SCALARS = Float32Array.of(0.999, 1e-3, 1.3, 7);

const inputsOf = (count: number) => ({
  theta: spec([count]),
  gradient: spec([count]),
  ...adamw8bitState(count),
  scalars: spec([4]),
});
const fn = (t: Record<keyof ReturnType<typeof inputsOf>, Tensor>) => ({ ...adamw8bit(t, RATES) });

/** Random codes of every kind; gradients over many decades, with zeros. */
function valuesOf(count: number) {
  const random = seeded(count);
  const state = adamw8bitState(count);
  return {
    theta: randomNormals(count, random),
    gradient: randomNormals(count, random).map((x, i) => (i % 11 === 0 ? 0 : x * 10 ** -(i % 5))),
    codes: Uint32Array.from({ length: state.codes.shape[0] }, () => random() * 2 ** 32),
    maxima: Float32Array.from({ length: state.maxima.shape[0] }, () => random() + 0.1),
    scalars: SCALARS,
  };
}

test('codes ascend with their values, to exactly 1', () => {
  for (const bits of [7, 8]) {
    const values = Array.from({ length: 2 ** bits }, (_, code) => momentValue(code, bits));
    for (let code = 1; code < values.length; code++) expect(values[code]).toBeGreaterThan(values[code - 1]);
    expect(values.at(-1)).toBe(1);
    expect(values[1]).toBeCloseTo(10 ** (1 - bits), 12);
  }
});

test.each(ADAMW8BIT_COUNTS)('%i elements equal the reference', async (count) => {
  const values = valuesOf(count);
  const got = await runOp(device, inputsOf(count), values, fn);
  const before = decodeMoments(values.codes, values.maxima);
  const want = adamw8bitReference({ count, ...RATES }, values.theta, values.gradient, before, SCALARS);
  expect(relativeError(got.theta, want.theta)).toBeLessThan(1e-6);
  for (let block = 0; block * MOMENT_BLOCK < count; block++) {
    const part = [want.m, want.r].map((x) => x.subarray(block * MOMENT_BLOCK, (block + 1) * MOMENT_BLOCK));
    for (const [which, own] of part.entries()) {
      const largest = Math.max(...own.map(Math.abs));
      expect(Math.abs(got.maxima[2 * block + which] - largest) / largest).toBeLessThan(1e-6);
    }
  }
  // Every code is a neighbour of the value it stands for, and the mean of their errors is near zero.
  const after = decodeMoments(got.codes as Uint32Array, got.maxima as Float32Array);
  for (const [which, bits] of [
    ['m', 7],
    ['r', 8],
  ] as const) {
    const wrong: number[][] = [];
    let error = 0;
    for (let i = 0; i < count; i++) {
      const scale = got.maxima[2 * Math.floor(i / MOMENT_BLOCK) + (which === 'm' ? 0 : 1)];
      const [x, y] = [Math.abs(want[which][i]) / scale, Math.abs(after[which][i]) / scale];
      const decade = Math.min(bits - 1, Math.max(0, Math.floor(-Math.log10(Math.max(x, 1e-12)))));
      // The step of this decade, and of the one below where it begins there.
      const step = Math.max((0.9 * 10 ** -decade) / 2 ** (bits - 1 - decade), 10 ** (1 - bits)) * 1.0001;
      const sameSign = y === 0 || Math.sign(after[which][i]) === Math.sign(want[which][i]);
      const vanished = which === 'r' && x > 0 && y === 0;
      if (!(Math.abs(x - y) <= step + 1e-7) || !sameSign || vanished) wrong.push([i, x, y]);
      error += (y - x) / step;
    }
    expect(wrong, which).toEqual([]);
    expect(Math.abs(error / count)).toBeLessThan(3 / Math.sqrt(count));
  }
});

test('is repeatable, and does not depend on how tensors are cut', async () => {
  const count = 64 * 1031;
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 65_536 } });
  const values = valuesOf(count);
  expect(planProgram(trace(inputsOf(count), fn), small).dispatches.length).toBeGreaterThan(3);
  const whole = await runOp(device, inputsOf(count), values, fn);
  expect(await runOp(device, inputsOf(count), values, fn)).toEqual(whole);
  expect(await runOp(small, inputsOf(count), values, fn)).toEqual(whole);
  const later = { ...values, scalars: Float32Array.of(0.999, 1e-3, 1.3, 8) };
  const other = await runOp(device, inputsOf(count), later, fn);
  expect(other.theta).toEqual(whole.theta);
  expect(other.codes).not.toEqual(whole.codes);
  small.destroy();
});

test('other shapes are refused', () => {
  expect(() => adamw8bitState(6)).toThrow('a multiple of 4 elements, got 6');
  expect(() => trace({ ...inputsOf(64), gradient: spec([32]) }, fn)).toThrow(
    'adamw8bit: gradient must be f32 [64], got f32 [32]',
  );
});
