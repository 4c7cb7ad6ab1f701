import { philox4x32, randomReference } from '@dwm/kernels-wgsl';
import { RANDOM_COUNTS } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { add, mul } from './pointwise.ts';
import { randomNormal, randomUniform } from './random.ts';
import { runOp } from './testing.ts';

const device = await openNodeDevice();
const seed = [0x12345678, 0x9abcdef0] as const;
const inputs = { seed: spec([2], 'u32') };
const values = { seed: Uint32Array.from(seed) };

// kat_vectors of Random123.
test('Philox 4x32-10 gives the known answers', () => {
  const ones = 0xffffffff;
  expect(philox4x32([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  expect(philox4x32([ones, ones, ones, ones], [ones, ones])).toEqual([
    0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
  ]);
});

test.each(RANDOM_COUNTS)('%i numbers equal the reference', async (count) => {
  const { uniform, normal } = await runOp(device, inputs, values, (t) => ({
    uniform: randomUniform(t.seed, [count], 3),
    normal: randomNormal(t.seed, [count], 0xfffffffe),
  }));
  const wantUniform = randomReference({ count, distribution: 'uniform', stream: 3 }, seed);
  expect(relativeError(uniform, wantUniform)).toBe(0);
  const wantNormal = randomReference({ count, distribution: 'normal', stream: 0xfffffffe }, seed);
  expect(relativeError(normal, wantNormal)).toBeLessThanOrEqual(3e-7);
  let worst = 0;
  for (let i = 0; i < count; i++) worst = Math.max(worst, Math.abs(normal[i] - wantNormal[i]));
  expect(worst).toBeLessThanOrEqual(2e-6);
});

test('a million normals have the moments of the distribution, streams and seeds are unrelated', async () => {
  const count = 1_000_000;
  const two = { ...inputs, other: spec([2], 'u32') };
  const got = await runOp(device, two, { ...values, other: Uint32Array.of(1, 0) }, (t) => ({
    a: randomNormal(t.seed, [count], 0),
    b: randomNormal(t.seed, [count], 1),
    c: randomNormal(t.other, [count], 0),
  }));
  const average = (f: (i: number) => number) => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += f(i);
    return sum / count;
  };
  // Bounds are four standard errors.
  expect(Math.abs(average((i) => got.a[i]))).toBeLessThan(4e-3);
  expect(Math.abs(average((i) => got.a[i] ** 2) - 1)).toBeLessThan(5.7e-3);
  expect(Math.abs(average((i) => got.a[i] ** 3))).toBeLessThan(1.6e-2);
  expect(Math.abs(average((i) => got.a[i] ** 4) - 3)).toBeLessThan(4e-2);
  for (const other of ['b', 'c'] as const) {
    expect(Math.abs(average((i) => got.a[i] * got[other][i]))).toBeLessThan(4e-3);
  }
  expect(Math.abs(average((i) => got.a[i] * got.a[(i + 1) % count]))).toBeLessThan(4e-3);
});

test('numbers do not depend on shape, length or how outputs are cut', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 2048 } });
  const fn = (shape: number[]) => (t: { seed: Tensor }) => ({ y: randomNormal(t.seed, shape, 5) });
  expect(planProgram(trace(inputs, fn([3, 701])), small).dispatches.length).toBeGreaterThan(4);
  const [whole, cut, short] = [
    await runOp(device, inputs, values, fn([2103])),
    await runOp(small, inputs, values, fn([3, 701])),
    await runOp(device, inputs, values, fn([37])),
  ];
  expect(cut.y).toEqual(whole.y);
  expect(short.y).toEqual(whole.y.subarray(0, 37));
  small.destroy();
});

// Rows of 6 with a broadcast operand take one element a step, rows of 8 four.
test.each([6, 8])('a sample of a posterior is one dispatch, rows of %i', async (width) => {
  const random = seeded(width);
  const [mean, deviation] = [randomNormals(5 * width, random), randomNormals(5, random)];
  const all = { ...inputs, mean: spec([5, width]), deviation: spec([5, 1]) };
  const fn = (t: Record<keyof typeof all, Tensor>) => ({
    y: add(mul(randomNormal(t.seed, [5, width], 9), t.deviation), t.mean),
  });
  expect(planProgram(trace(all, fn), device).dispatches.length).toBe(1);
  const { y } = await runOp(device, all, { ...values, mean, deviation }, fn);
  const noise = randomReference({ count: 5 * width, distribution: 'normal', stream: 9 }, seed);
  const want = noise.map((value, i) => value * deviation[Math.floor(i / width)] + mean[i]);
  expect(relativeError(y, want)).toBeLessThanOrEqual(1e-6);
});

test('a float seed and a fractional stream are refused', () => {
  expect(() => trace({ s: spec([2]) }, ({ s }) => ({ y: randomUniform(s, [4], 0) }))).toThrow(
    'random: the seed must be u32 [2], got f32 [2]',
  );
  expect(() => trace(inputs, (t) => ({ y: randomUniform(t.seed, [4], 0.5) }))).toThrow(
    'random: the stream must be a whole number in [0, 2^32), got 0.5',
  );
});
