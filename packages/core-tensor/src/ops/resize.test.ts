import { axisSamples, elementCount } from '@dwm/kernels-wgsl';
import { RESIZE_SHAPES, resizeBackwardReference, resizeReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { spec, type Tensor } from '../tensor.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { resizeLinear, resizeNearest } from './resize.ts';
import { applyVjp, runOp } from './testing.ts';

const device = await openNodeDevice();

test.each(RESIZE_SHAPES)('$batch x $from to $to, $channels channels', async (shape) => {
  const { batch, from, to, channels } = shape;
  const x = randomNormals(batch * elementCount(from) * channels, seeded(channels));
  const { linear, nearest } = await runOp(device, { x: spec([batch, ...from, channels]) }, { x }, (t) => ({
    linear: resizeLinear(t.x, to),
    nearest: resizeNearest(t.x, to),
  }));
  // Positions are torch's float32 ones, which on longer axes are off by more than the sums are.
  expect(relativeError(linear, resizeReference(x, shape, 'linear'))).toBeLessThanOrEqual(2e-6);
  expect([...nearest]).toEqual([...resizeReference(x, shape, 'nearest')]);
});

test('four elements to eight as torch.nn.functional.interpolate has it', async () => {
  const { y } = await runOp(
    device,
    { x: spec([1, 1, 1, 4, 1]) },
    { x: Float32Array.of(0, 1, 2, 3) },
    (t) => ({ y: resizeLinear(t.x, [1, 1, 8]) }),
  );
  expect([...y]).toEqual([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]);
});

// 2/82 rounds down in float32, so that torch samples element 0 where the exact product is 1.
test('nearest indices follow float32', () => {
  expect(axisSamples(2, 82, 'nearest')[41].low).toBe(0);
  expect(axisSamples(2, 82, 'nearest')[42].low).toBe(1);
});

test('frames beyond one binding are cut; bf16 input', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 4096 } });
  const shape = { batch: 2, from: [7, 8, 9], to: [11, 6, 10], channels: 5 } as const;
  const x = randomNormals(2 * 7 * 8 * 9 * 5, seeded(2));
  const bits = new Uint16Array(new Uint32Array(x.buffer).map((word) => word >>> 16));
  const cut = new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
  const inputs = { x: spec([2, 7, 8, 9, 5]), half: spec([2, 7, 8, 9, 5], 'bf16') };
  const fn = (t: Record<'x' | 'half', Tensor>) => ({
    y: resizeLinear(t.x, shape.to),
    z: resizeNearest(t.half, shape.to),
  });
  expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(20);
  const { y, z } = await runOp(small, inputs, { x, half: bits }, fn);
  expect(relativeError(y, resizeReference(x, shape, 'linear'))).toBeLessThanOrEqual(1e-6);
  expect([...z]).toEqual([...resizeReference(cut, shape, 'nearest')]);
  small.destroy();
});

test('a size of two numbers is refused', () => {
  const make = () =>
    trace({ x: spec([1, 2, 3, 4, 5]) }, ({ x }) => ({ y: resizeLinear(x, [3, 4] as never) }));
  expect(make).toThrow('resizeLinear: expected x [B, T, H, W, C] and three sizes');
});

const gradients = ({ x, g }: { x: Tensor; g: Tensor }, to: readonly [number, number, number]) => ({
  linear: applyVjp(resizeLinear(x, to), [g])[0]!,
  nearest: applyVjp(resizeNearest(x, to), [g])[0]!,
});

test.each(RESIZE_SHAPES)('gradients of $batch x $from to $to, $channels channels', async (shape) => {
  const { batch, from, to, channels } = shape;
  const random = seeded(channels + 1);
  const inputs = { x: spec([batch, ...from, channels]), g: spec([batch, ...to, channels]) };
  const values = {
    x: randomNormals(elementCount(inputs.x.shape), random),
    g: randomNormals(elementCount(inputs.g.shape), random),
  };
  const got = await runOp(device, inputs, values, (t) => gradients(t, to));
  expect(relativeError(got.linear, resizeBackwardReference(values.g, shape, 'linear'))).toBeLessThanOrEqual(
    2e-6,
  );
  expect(relativeError(got.nearest, resizeBackwardReference(values.g, shape, 'nearest'))).toBeLessThanOrEqual(
    2e-6,
  );
});

test('gradients of frames beyond one binding are cut', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 8192 } });
  for (const to of [
    [11, 6, 10],
    [3, 9, 9],
  ] as const) {
    const shape = { batch: 2, from: [7, 8, 9], to, channels: 5 } as const;
    const inputs = { x: spec([2, 7, 8, 9, 5]), g: spec([2, ...to, 5]) };
    const x = randomNormals(elementCount(inputs.x.shape), seeded(2));
    const g = randomNormals(elementCount(inputs.g.shape), seeded(3));
    const fn = (t: { x: Tensor; g: Tensor }) => gradients(t, to);
    expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(6);
    const got = await runOp(small, inputs, { x, g }, fn);
    expect(relativeError(got.linear, resizeBackwardReference(g, shape, 'linear'))).toBeLessThanOrEqual(1e-6);
    expect(relativeError(got.nearest, resizeBackwardReference(g, shape, 'nearest'))).toBeLessThanOrEqual(
      1e-6,
    );
  }
  small.destroy();
});
