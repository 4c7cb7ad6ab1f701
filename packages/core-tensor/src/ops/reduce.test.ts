import { elementCount, type Reduction } from '@dwm/kernels-wgsl';
import { REDUCE_SHAPES, reduceReference } from '@dwm/kernels-wgsl/testing';
import { describe, expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { Program, trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { mul, neg, splitAt, sub } from './pointwise.ts';
import { absMax, max, mean, sum } from './reduce.ts';
import { runOp } from './testing.ts';
import { permute, slice } from './views.ts';

const device = await openNodeDevice();

test.each(REDUCE_SHAPES)('$shape over $dims', async ({ shape, dims }) => {
  const x = randomNormals(elementCount(shape), seeded(shape.length)).map((value) => value - 0.25);
  const run = () =>
    runOp(device, { x: spec(shape) }, { x }, (t) => ({
      sum: sum(t.x, dims),
      mean: mean(t.x, dims, true),
      max: max(t.x, dims),
      absMax: absMax(t.x, dims),
    }));
  const got = await run();
  for (const name of ['sum', 'mean'] as const) {
    expect(relativeError(got[name], reduceReference(x, shape, dims, name))).toBeLessThanOrEqual(1e-6);
  }
  for (const name of ['max', 'absMax'] as const) {
    expect([...got[name]]).toEqual([...reduceReference(x, shape, dims, name)]);
  }
  expect(await run()).toEqual(got);

  // The teams that a GPU gets, on this device.
  const inputs = { x: spec(shape) };
  const caps = { ...device.caps, adapter: { ...device.caps.adapter, kind: 'hardware' as const } };
  const teams = trace(inputs, (t) => ({ sum: sum(t.x, dims), absMax: absMax(t.x, dims) }));
  const program = await Program.create<typeof inputs, typeof teams>(
    device,
    planProgram(teams, { caps }),
    inputs,
  );
  const byTeams = await program.run({ x });
  expect(relativeError(await byTeams.sum.read(), got.sum)).toBeLessThanOrEqual(1e-6);
  expect([...(await byTeams.absMax.read())]).toEqual([...got.absMax]);
  program.destroy();
});

test('reduced dimensions go, or stay as size 1 to broadcast', async () => {
  const x = randomNormals(2 * 3 * 4, seeded(7));
  const outputs = trace({ x: spec([2, 3, 4]) }, (t) => ({ a: sum(t.x, [2, 0]), b: sum(t.x, [0, 2], true) }));
  expect(outputs.a.shape).toEqual([3]);
  expect(outputs.b.shape).toEqual([1, 3, 1]);
  const { y } = await runOp(device, { x: spec([2, 3, 4]) }, { x }, (t) => ({
    y: sub(t.x, mean(t.x, [0, 2], true)),
  }));
  const means = reduceReference(x, [2, 3, 4], [0, 2], 'mean');
  const want = Float64Array.from(x, (value, i) => value - means[Math.floor(i / 4) % 3]);
  expect(relativeError(y, want)).toBeLessThanOrEqual(1e-6);
});

test('maxima of negative values', async () => {
  const x = Float32Array.from({ length: 3 * 130 }, (_, i) => -1 - (i % 130));
  const { y } = await runOp(device, { x: spec([3, 130]) }, { x }, (t) => ({ y: max(t.x, [1]) }));
  expect([...y]).toEqual([-1, -1, -1]);
});

test('x beyond one binding is cut; bf16 input', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 8192 } });
  const shape = [3, 20_001];
  const x = randomNormals(elementCount(shape), seeded(3)).map((value) => value + 0.5);
  const bits = new Uint16Array(new Uint32Array(x.buffer).map((word) => word >>> 16));
  const cut = new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
  const inputs = { x: spec(shape), half: spec(shape, 'bf16') };
  const fn = (t: Record<'x' | 'half', Tensor>) => ({ y: sum(t.x, [1]), z: mean(t.half, [0, 1]) });
  expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(12);
  const { y, z } = await runOp(small, inputs, { x, half: bits }, fn);
  expect(relativeError(y, reduceReference(x, shape, [1], 'sum'))).toBeLessThanOrEqual(1e-6);
  expect(relativeError(z, reduceReference(cut, shape, [0, 1], 'mean'))).toBeLessThanOrEqual(1e-6);
  small.destroy();
});

test('columns beyond one binding are cut, and so are results', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 8192 } });
  for (const shape of [
    [3, 70, 301],
    [2, 9, 600],
    [700, 12, 4],
  ]) {
    const inputs = { x: spec(shape) };
    const x = randomNormals(elementCount(shape), seeded(shape[1]));
    const fn = (t: { x: Tensor }) => ({ y: mean(t.x, [1]), z: max(t.x, [1]) });
    expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(8);
    const { y, z } = await runOp(small, inputs, { x }, fn);
    expect(relativeError(y, reduceReference(x, shape, [1], 'mean'))).toBeLessThanOrEqual(1e-6);
    expect([...z]).toEqual([...reduceReference(x, shape, [1], 'max')]);
  }
  small.destroy();
});

describe.each([
  ['whole vec4s', [5, 12, 8]],
  ['odd sizes', [5, 11, 7]],
])('elementwise work and views are read as they are reduced: %s', (_, shape) => {
  const inputs = { x: spec(shape), y: spec([shape[2], shape[1]]) };
  const x = randomNormals(elementCount(shape), seeded(11));
  const y = randomNormals(shape[1] * shape[2], seeded(12));
  // x · yᵀ, rows up to the third of dimension 1 negated.
  const product = (t: { x: Tensor; y: Tensor }) => {
    const both = mul(t.x, permute(t.y, [1, 0]));
    return splitAt(shape, 1, 3, neg(both), both);
  };
  const want = Float64Array.from(x, (value, i) => {
    const [row, column] = [Math.floor(i / shape[2]) % shape[1], i % shape[2]];
    return value * y[column * shape[1] + row] * (row < 3 ? -1 : 1);
  });
  test.each([[[0]], [[1]], [[2]], [[0, 2]]])('over %s', async (dims) => {
    for (const [name, reduction] of Object.entries({ sum, mean, max, absMax })) {
      const fn = (t: { x: Tensor; y: Tensor }) => ({ z: reduction(product(t), dims) });
      const { z } = await runOp(device, inputs, { x, y }, fn);
      const reference = reduceReference(want, shape, dims, name as Reduction);
      expect(relativeError(z, reference)).toBeLessThanOrEqual(1e-6);
    }
  });
});

test('what else is read is stored once; a view of it is not copied', async () => {
  const inputs = { x: spec([6, 8, 4]) };
  const fn = ({ x }: { x: Tensor }) => {
    const twice = mul(x, 2);
    const chosen = slice(permute(x, [1, 0, 2]), 0, 2, 3);
    return { twice, a: sum(twice, [1]), b: sum(chosen, [0, 2]), c: sum(neg(slice(x, 2, 1, 2)), [2]) };
  };
  const labels = planProgram(trace(inputs, fn), device).dispatches.map(({ label }) => label);
  expect(labels.filter((label) => label.startsWith('pointwise')).length).toBe(1);
  const x = randomNormals(192, seeded(13));
  const got = await runOp(device, inputs, { x }, fn);
  expect(
    relativeError(
      got.a,
      reduceReference(
        x.map((v) => 2 * v),
        [6, 8, 4],
        [1],
        'sum',
      ),
    ),
  ).toBeLessThan(1e-6);
  const rows = reduceReference(x, [6, 8, 4], [2], 'sum');
  const b = Float64Array.from({ length: 6 }, (_, i) => rows[i * 8 + 2] + rows[i * 8 + 3] + rows[i * 8 + 4]);
  expect(relativeError(got.b, b)).toBeLessThan(1e-6);
  const c = Float64Array.from({ length: 48 }, (_, i) => -x[i * 4 + 1] - x[i * 4 + 2]);
  expect(relativeError(got.c, c)).toBeLessThan(1e-6);
});

test('elementwise work beyond one binding is cut or stored', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 16384 } });
  for (const shape of [
    [3, 70, 301],
    [16, 240, 1],
    [40, 96, 1],
  ]) {
    const inputs = { x: spec(shape), y: spec([shape[2]]) };
    const x = randomNormals(elementCount(shape), seeded(shape[1]));
    const y = randomNormals(shape[2], seeded(shape[2]));
    const fn = (t: { x: Tensor; y: Tensor }) => ({
      z: sum(mul(t.x, t.y), [1]),
      w: sum(mul(t.x, t.y), [0, 1]),
    });
    const { z, w } = await runOp(small, inputs, { x, y }, fn);
    const product = Float64Array.from(x, (value, i) => value * y[i % y.length]);
    expect(relativeError(z, reduceReference(product, shape, [1], 'sum'))).toBeLessThanOrEqual(1e-6);
    expect(relativeError(w, reduceReference(product, shape, [0, 1], 'sum'))).toBeLessThanOrEqual(2e-6);
  }
  small.destroy();
});

test('a dimension that is not there is refused', () => {
  expect(() => trace({ x: spec([2, 3]) }, ({ x }) => ({ y: sum(x, [2]) }))).toThrow(
    'sum: expected different dimensions of a tensor of floats, got [2] of f32 [2,3]',
  );
});
