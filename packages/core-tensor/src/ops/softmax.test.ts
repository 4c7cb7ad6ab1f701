/** Softmax and its gradient against float64; `DWM_SEED` changes the random shapes. */
import { type DeviceCaps, lowerSoftmax } from '@dwm/kernels-wgsl';
import { SOFTMAX_SHAPES, softmaxBackwardReference, softmaxReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { record, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { add, mul } from './pointwise.ts';
import { softmax } from './softmax.ts';
import { applyVjp, runOp, spec } from './testing.ts';

const device = await openNodeDevice();
const seed = Number(process.env.DWM_SEED ?? 20252);
console.log(`random softmax shapes: DWM_SEED=${seed}`);

const asHardware: DeviceCaps = { ...device.caps, adapter: { ...device.caps.adapter, kind: 'hardware' } };

interface Shape {
  readonly rows: number;
  readonly columns: number;
}

/** Softmax, its gradient, and the kernel that a GPU would get. */
async function check({ rows, columns }: Shape, random: () => number, again: boolean): Promise<void> {
  const values = {
    x: randomNormals(rows * columns, random).map((v) => v - 100),
    g: randomNormals(rows * columns, random),
  };
  const inputs = { x: spec([rows, columns]), g: spec([rows, columns]) };
  const fn = (t: Record<keyof typeof inputs, Tensor>) => {
    const y = softmax(t.x);
    const forHardware = {
      ...{ kind: 'kernel' as const, name: 'softmax', cost: { flops: 1, bytes: 1 }, epilogue: false },
      ...{ bindings: 2, lower: () => lowerSoftmax({ rows, columns, dtype: 'f32' }, asHardware) },
    };
    return { y, dx: applyVjp(y, [t.g])[0]!, hard: record(forHardware, [t.x], [spec([rows, columns])])[0] };
  };
  const got = await runOp(device, inputs, values, fn);
  const want = softmaxReference(values.x, columns);
  const where = `${rows} x ${columns}, seed ${seed}`;
  expect(relativeError(got.y, want), where).toBeLessThanOrEqual(1e-6);
  expect(relativeError(got.hard, want), where).toBeLessThanOrEqual(1e-6);
  // Of a row of one column it is zero, but for rounding; of few columns a small difference.
  if (columns > 1) {
    const gradient = softmaxBackwardReference(want, values.g, columns);
    expect(relativeError(got.dx, gradient), where).toBeLessThanOrEqual(columns > 4 ? 2e-6 : 1e-5);
  }
  if (again) expect(await runOp(device, inputs, values, fn)).toEqual(got);
}

test.each(SOFTMAX_SHAPES)('$rows rows of $columns', (shape) => check(shape, seeded(shape.columns), true));

test('200 random shapes', async () => {
  const random = seeded(seed);
  const upTo = (most: number) => 1 + Math.floor(random() ** 2 * most);
  for (let i = 0; i < 200; i++) await check({ rows: upTo(40), columns: upTo(700) }, random, i % 20 === 0);
});

test('values beyond the range of exp, and -inf', async () => {
  const x = new Float32Array([1e30, -1e30, 3, 1e30, 500, 499, -Infinity, -500]);
  const { y } = await runOp(device, { x: spec([2, 4]) }, { x }, (t) => ({ y: softmax(t.x) }));
  const e = 1 / (1 + Math.exp(-1));
  expect(relativeError(y, [0.5, 0, 0, 0.5, e, 1 - e, 0, 0])).toBeLessThanOrEqual(1e-6);
});

test.each([36, 31])('elementwise work on %i columns fuses; bf16 input', async (columns) => {
  const random = seeded(columns);
  const x = randomNormals(30 * columns, random);
  const bits = new Uint16Array(new Uint32Array(x.buffer).map((word) => word >>> 16));
  const cut = new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
  const values = { x: bits, b: randomNormals(columns, random) };
  const inputs = { x: spec([5, 6, columns], 'bf16'), b: spec([columns]) };
  const fn = (t: Record<keyof typeof inputs, Tensor>) => ({ y: add(mul(softmax(t.x), 2), t.b) });
  expect(planProgram(trace(inputs, fn), device).dispatches.length).toBe(1);
  const { y } = await runOp(device, inputs, values, fn);
  const want = softmaxReference(cut, columns).map((v, i) => 2 * v + values.b[i % columns]);
  expect(relativeError(y, want)).toBeLessThanOrEqual(1e-6);
});

test('rows beyond one binding are cut', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 4096 } });
  const [rows, columns] = [129, 31];
  const random = seeded(3);
  const values = { x: randomNormals(rows * columns, random), g: randomNormals(rows * columns, random) };
  const inputs = { x: spec([rows, columns]), g: spec([rows, columns]) };
  const fn = (t: Record<keyof typeof inputs, Tensor>) => {
    const y = softmax(t.x);
    return { y, dx: applyVjp(y, [t.g])[0]! };
  };
  expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(6);
  const { y, dx } = await runOp(small, inputs, values, fn);
  const want = softmaxReference(values.x, columns);
  expect(relativeError(y, want)).toBeLessThanOrEqual(1e-6);
  expect(relativeError(dx, softmaxBackwardReference(want, values.g, columns))).toBeLessThanOrEqual(2e-6);
  small.destroy();
});

test('the reference of the gradient equals finite differences', () => {
  const random = seeded(9);
  const [x, g] = [0, 1].map(() => randomNormals(15, random));
  const difference = Float64Array.from(x, (_, i) => {
    const at = (h: number) =>
      softmaxReference(
        Float64Array.from(x, (v, j) => (j === i ? v + h : v)),
        5,
      ).reduce((sum, y, j) => sum + y * g[j], 0);
    return (at(1e-5) - at(-1e-5)) / 2e-5;
  });
  expect(relativeError(softmaxBackwardReference(softmaxReference(x, 5), g, 5), difference)).toBeLessThan(
    1e-8,
  );
});

test('integers are refused', () => {
  expect(() => trace({ x: spec([2, 3], 'u32') }, ({ x }) => ({ y: softmax(x) }))).toThrow(
    'softmax: expected a tensor of floats with a dimension to go over, got u32 [2,3]',
  );
});
