import {
  layerNormReference,
  ROTARY_SHAPES,
  type RotaryShape,
  rotaryReference,
} from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { layerNorm, rmsNorm } from './layer-norm.ts';
import { add, mul } from './pointwise.ts';
import { rotary } from './rotary.ts';
import { applyVjp, runOp } from './testing.ts';
import { reshape } from './views.ts';

const device = await openNodeDevice();

function example({ batch, rows, heads, headDim, firstRow }: RotaryShape) {
  const random = seeded(rows);
  const table = [rows - firstRow, headDim];
  const inputs = { x: spec([batch, rows, heads, headDim]), cos: spec(table), sin: spec(table) };
  const values = {
    x: randomNormals(batch * rows * heads * headDim, random),
    cos: randomNormals(table[0] * headDim, random),
    sin: randomNormals(table[0] * headDim, random),
  };
  return { inputs, values };
}

test.each(ROTARY_SHAPES)(
  '$batch x $rows x $heads x $headDim from row $firstRow, with and without epilogue',
  async (shape) => {
    const { inputs, values } = example(shape);
    const fn = (t: Record<'x' | 'cos' | 'sin', Tensor>) => ({
      plain: rotary(t.x, t.cos, t.sin, shape.firstRow),
      fused: add(mul(rotary(t.x, t.cos, t.sin, shape.firstRow), 0.25), t.x),
    });
    expect(planProgram(trace(inputs, fn), device).dispatches.length).toBe(2);
    const { plain, fused } = await runOp(device, inputs, values, fn);
    const want = rotaryReference(values.x, values.cos, values.sin, shape);
    expect(relativeError(plain, want)).toBeLessThanOrEqual(1e-7);
    const wantFused = want.map((value, i) => value / 4 + values.x[i]);
    expect(relativeError(fused, wantFused)).toBeLessThanOrEqual(1e-7);
    const text = shape.firstRow * shape.heads * shape.headDim;
    expect(plain.subarray(0, text)).toEqual(values.x.subarray(0, text));
  },
);

test.each([6, 8])('x beyond one binding is cut, heads of %i', async (headDim) => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 2048 } });
  const shape = { batch: 2, rows: 31, heads: 5, headDim, firstRow: 4 };
  const { inputs, values } = example(shape);
  const fn = (t: Record<'x' | 'cos' | 'sin', Tensor>) => ({ y: rotary(t.x, t.cos, t.sin, 4) });
  expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(3);
  const { y } = await runOp(small, inputs, values, fn);
  expect(relativeError(y, rotaryReference(values.x, values.cos, values.sin, shape))).toBeLessThanOrEqual(
    1e-7,
  );
  small.destroy();
});

test.each([
  ['heads, from row 3', { batch: 2, rows: 9, heads: 3, headDim: 64, firstRow: 3 }, 64, true],
  [
    'all heads together, by root mean square',
    { batch: 1, rows: 11, heads: 5, headDim: 12, firstRow: 0 },
    60,
    false,
  ],
])('a norm turns what it makes: %s', async (_, shape, channels, center) => {
  const { inputs, values } = example(shape);
  const all = { ...inputs, gamma: spec([channels]), beta: spec([channels]) };
  const random = seeded(channels);
  const affine = {
    gamma: randomNormals(channels, random),
    ...(center && { beta: randomNormals(channels, random) }),
  };
  const fn = (t: { [K in keyof typeof all]: Tensor }) => {
    const rows = reshape(t.x, [-1, channels]);
    const normed = center
      ? layerNorm(rows, { eps: 1e-6, ...t })
      : rmsNorm(rows, { eps: 1e-6, gamma: t.gamma });
    return { y: rotary(reshape(normed, inputs.x.shape), t.cos, t.sin, shape.firstRow) };
  };
  expect(planProgram(trace(all, fn), device).dispatches.length).toBe(1);
  const { y } = await runOp(device, all, { ...values, beta: new Float32Array(channels), ...affine }, fn);
  const normed = layerNormReference(values.x, channels, { eps: 1e-6, center, ...affine });
  expect(relativeError(y, rotaryReference(normed, values.cos, values.sin, shape))).toBeLessThanOrEqual(3e-7);
  // Nothing is turned twice where something else reads the norm.
  const both = (t: { [K in keyof typeof all]: Tensor }) => {
    const normed = layerNorm(t.x, { eps: 1e-6 });
    return { normed, y: rotary(normed, t.cos, t.sin, shape.firstRow) };
  };
  expect(planProgram(trace(all, both), device).dispatches.length).toBe(2);
});

test('bf16 x and tables', async () => {
  const shape = { batch: 1, rows: 9, heads: 2, headDim: 10, firstRow: 3 };
  const { values } = example(shape);
  const cut = (x: Float32Array) => new Uint16Array(new Uint32Array(x.buffer).map((word) => word >>> 16));
  const wide = (bits: Uint16Array) => new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
  const [x, cos, sin] = [values.x, values.cos, values.sin].map(cut);
  const inputs = {
    x: spec([1, 9, 2, 10], 'bf16'),
    cos: spec([6, 10], 'bf16'),
    sin: spec([6, 10], 'bf16'),
  };
  const { y } = await runOp(device, inputs, { x, cos, sin }, (t) => ({ y: rotary(t.x, t.cos, t.sin, 3) }));
  expect(relativeError(y, rotaryReference(wide(x), wide(cos), wide(sin), shape))).toBeLessThanOrEqual(1e-7);
});

test('tables of another length are refused', () => {
  const inputs = { x: spec([1, 9, 2, 4]), table: spec([9, 4]) };
  expect(() => trace(inputs, ({ x, table }) => ({ y: rotary(x, table, table, 3) }))).toThrow(
    'rotary: cos and sin must be [6,4] of one dtype for x [1,9,2,4] and firstRow 3',
  );
});

test.each(ROTARY_SHAPES)(
  'gradient of $batch x $rows x $heads x $headDim from row $firstRow',
  async (shape) => {
    const { inputs, values } = example(shape);
    const { dx } = await runOp(device, inputs, values, (t) => {
      const y = rotary(t.x, t.cos, t.sin, shape.firstRow);
      const [gradient, ...none] = applyVjp(y, [t.x], [true, false, false]);
      expect(none).toEqual([]);
      return { dx: gradient! };
    });
    const want = rotaryReference(values.x, values.cos, values.sin, shape, true);
    expect(relativeError(dx, want)).toBeLessThanOrEqual(1e-7);
    // The adjoint: (rotary x, y) = (x, rotaryᵀ y).
    const turned = rotaryReference(values.x, values.cos, values.sin, shape);
    const y = randomNormals(values.x.length, seeded(9));
    const back = rotaryReference(y, values.cos, values.sin, shape, true);
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a).reduce((s, v, i) => s + v * b[i], 0);
    expect(Math.abs(dot(turned, y) - dot(values.x, back))).toBeLessThan(1e-9 * values.x.length);
  },
);
