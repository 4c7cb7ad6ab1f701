import { GROUP_NORM_SHAPES, groupNormBackwardReference, groupNormReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { grad } from '../grad/grad.ts';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { groupNorm, groupStatistics } from './group-norm.ts';
import { add, mul, silu } from './pointwise.ts';
import { sum } from './reduce.ts';
import { applyVjp, runOp } from './testing.ts';

const device = await openNodeDevice();
const eps = 1e-6;

test.each(GROUP_NORM_SHAPES)('$batch x $positions x $channels in $groups', async (shape) => {
  const { batch, positions, channels, groups } = shape;
  const random = seeded(positions);
  const x = randomNormals(batch * positions * channels, random);
  const gamma = randomNormals(channels, random);
  const beta = randomNormals(channels, random);
  const inputs = {
    x: spec([batch, positions, channels]),
    gamma: spec([channels]),
    beta: spec([channels]),
  };
  const run = () =>
    runOp(device, inputs, { x, gamma, beta }, (t) => ({
      affine: groupNorm(t.x, { groups, eps, gamma: t.gamma, beta: t.beta }),
      plain: groupNorm(t.x, { groups, eps }),
    }));
  const got = await run();
  expect(relativeError(got.affine, groupNormReference(x, shape, eps, gamma, beta))).toBeLessThanOrEqual(1e-6);
  expect(relativeError(got.plain, groupNormReference(x, shape, eps))).toBeLessThanOrEqual(1e-6);
  expect(await run()).toEqual(got);
});

test('activation and modulation fuse with the application', async () => {
  const shape = [1, 3, 5, 7, 64];
  const inputs = { x: spec(shape), y: spec(shape), b: spec(shape), gamma: spec([64]), beta: spec([64]) };
  const fn = (t: Record<keyof typeof inputs, Tensor>) => ({
    out: silu(add(mul(groupNorm(t.x, { groups: 32, eps, gamma: t.gamma, beta: t.beta }), t.y), t.b)),
  });
  const labels = planProgram(trace(inputs, fn), device).dispatches.map(({ label }) => label);
  expect(labels).toEqual([
    'groupStatistics: groupNorm/partials x1',
    'groupStatistics: groupNorm/merge',
    expect.stringContaining('pointwise: pointwise/'),
  ]);
  const random = seeded(2);
  const [x, y, b] = [0, 1, 2].map(() => randomNormals(105 * 64, random));
  const [gamma, beta] = [0, 1].map(() => randomNormals(64, random));
  const { out } = await runOp(device, inputs, { x, y, b, gamma, beta }, fn);
  const geometry = { batch: 1, positions: 105, channels: 64, groups: 32 };
  const want = groupNormReference(x, geometry, eps, gamma, beta).map((value, i) => {
    const z = value * y[i] + b[i];
    return z / (1 + Math.exp(-z));
  });
  expect(relativeError(out, want)).toBeLessThanOrEqual(1e-6);
});

test('an offset of 1e4 standard deviations costs no precision', async () => {
  const shape = { batch: 2, positions: 20_000, channels: 16, groups: 2 };
  const x = randomNormals(640_000, seeded(9)).map((value) => 1000.3 + value / 10);
  const inputs = { x: spec([2, 200, 100, 16]) };
  const { y } = await runOp(device, inputs, { x }, (t) => ({ y: groupNorm(t.x, { groups: 2, eps }) }));
  expect(relativeError(y, groupNormReference(x, shape, eps))).toBeLessThanOrEqual(2e-6);
});

test('four million elements of few groups', async () => {
  const shape = { batch: 1, positions: 3 * 120 * 180, channels: 64, groups: 4 };
  const x = randomNormals(shape.positions * 64, seeded(4));
  const inputs = { x: spec([1, 3, 120, 180, 64]) };
  const { y } = await runOp(device, inputs, { x }, (t) => ({ y: groupNorm(t.x, { groups: 4, eps }) }));
  expect(relativeError(y, groupNormReference(x, shape, eps))).toBeLessThanOrEqual(1e-6);
});

test('x beyond one binding is cut; bf16 input', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 65536 } });
  const shape = { batch: 3, positions: 1900, channels: 12, groups: 3 };
  const x = randomNormals(3 * 1900 * 12, seeded(6));
  const bits = new Uint16Array(new Uint32Array(x.buffer).map((word) => word >>> 16));
  const cut = new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
  for (const [dtype, data, values] of [
    ['f32', x, x],
    ['bf16', bits, cut],
  ] as const) {
    const inputs = { x: spec([3, 19, 100, 12], dtype) };
    const fn = (t: { x: Tensor }) => groupStatistics(t.x, { groups: 3, eps });
    const { dispatches } = planProgram(trace(inputs, fn), small);
    expect(dispatches.filter(({ label }) => label.includes('partials')).length).toBeGreaterThan(2);
    const { mean, scale, shift } = await runOp(small, inputs, { x: data }, fn);
    const y = Float64Array.from(values, (value, i) => {
      const at = Math.floor(i / (1900 * 12)) * 12 + (i % 12);
      return (value - mean[at]) * scale[at] + shift[at];
    });
    expect(relativeError(y, groupNormReference(values, shape, eps))).toBeLessThanOrEqual(1e-6);
  }
  small.destroy();
});

test('groups that do not divide the channels are refused', () => {
  expect(() => trace({ x: spec([1, 5, 10]) }, ({ x }) => ({ y: groupNorm(x, { groups: 4, eps }) }))).toThrow(
    'groupNorm: 4 groups do not divide the 10 channels of x [1,5,10]',
  );
});

function gradients(t: Record<'x' | 'g' | 'gamma' | 'beta', Tensor>, groups: number): Record<string, Tensor> {
  const product = (y: Tensor) => sum(mul(y, t.g), [...y.shape.keys()]);
  const affine = groupNorm(t.x, { groups, eps, gamma: t.gamma, beta: t.beta });
  const [dx, dgamma, dbeta] = grad(product(affine), [t.x, t.gamma, t.beta]);
  const [plain] = grad(product(groupNorm(t.x, { groups, eps })), [t.x]);
  return { dx, dgamma, dbeta, plain };
}

// A group of few values, or one far from zero, has gradients that are small differences.
test.each([
  ...GROUP_NORM_SHAPES.slice(1).map((shape) => ({ ...shape, offset: 0 })),
  { batch: 2, positions: 3000, channels: 16, groups: 2, offset: 1000.3 },
])('gradients of $batch x $positions x $channels in $groups, about $offset', async (shape) => {
  const { batch, positions, channels, groups, offset } = shape;
  const random = seeded(positions + 1);
  const normals = (count: number) => randomNormals(count, random);
  const count = batch * positions * channels;
  const x = offset ? normals(count).map((value) => offset + value / 10) : normals(count);
  const values = { x, g: normals(count), gamma: normals(channels), beta: normals(channels) };
  const inputs = {
    ...{ x: spec([batch, positions, channels]), g: spec([batch, positions, channels]) },
    ...{ gamma: spec([channels]), beta: spec([channels]) },
  };
  const run = () => runOp(device, inputs, values, (t) => gradients(t, groups));
  const got = await run();
  const want = groupNormBackwardReference(x, values.g, shape, eps, values.gamma);
  const plain = groupNormBackwardReference(x, values.g, shape, eps).dx;
  for (const [name, gradient] of Object.entries({ ...want, plain })) {
    expect(relativeError(got[name], gradient), name).toBeLessThanOrEqual(3e-6);
  }
  expect(await run()).toEqual(got);
});

test('the reference of the gradients equals finite differences', () => {
  const shape = { batch: 2, positions: 3, channels: 6, groups: 2 };
  const random = seeded(21);
  const [x, g] = [0, 1].map(() => randomNormals(36, random));
  const [gamma, beta] = [0, 1].map(() => randomNormals(6, random));
  const difference = (array: Float32Array, loss: (moved: Float64Array) => Float64Array) =>
    Float64Array.from(array, (_, i) => {
      const at = (h: number) =>
        loss(Float64Array.from(array, (v, j) => (j === i ? v + h : v))).reduce((s, y, j) => s + y * g[j], 0);
      return (at(1e-5) - at(-1e-5)) / 2e-5;
    });
  const want = groupNormBackwardReference(x, g, shape, eps, gamma);
  const dx = difference(x, (moved) => groupNormReference(moved, shape, eps, gamma, beta));
  const dgamma = difference(gamma, (moved) => groupNormReference(x, shape, eps, moved, beta));
  const dbeta = difference(beta, (moved) => groupNormReference(x, shape, eps, gamma, moved));
  for (const [name, gradient] of Object.entries({ dx, dgamma, dbeta })) {
    expect(relativeError(want[name as 'dx'], gradient)).toBeLessThan(1e-7);
  }
});

test('a frozen norm costs no gradient of its weights', () => {
  const inputs = { x: spec([1, 5, 8]), g: spec([1, 5, 8]), gamma: spec([8]), beta: spec([8]) };
  trace(inputs, ({ x, g, gamma, beta }) => {
    const { scale } = groupStatistics(x, { groups: 2, eps, gamma, beta });
    expect(applyVjp(scale, [scale, scale, scale], [false, false, false])).toEqual([]);
    return { y: g };
  });
});
