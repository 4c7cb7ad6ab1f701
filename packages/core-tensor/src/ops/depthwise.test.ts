import { elementCount } from '@dwm/kernels-wgsl';
import { DEPTHWISE_SHAPES, depthwiseReference } from '@dwm/kernels-wgsl/testing';
import { afterAll, expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { randomNormals, relativeError, seeded } from '../testing.ts';
import { depthwiseConv2d } from './depthwise.ts';
import { add, maximum } from './pointwise.ts';
import { runOp, spec } from './testing.ts';

const device = await openNodeDevice();
afterAll(() => device.destroy());

test.each(DEPTHWISE_SHAPES)('$batch x $height x $width x $channels, $kernel/$stride', async (shape) => {
  const { batch, height, width, channels, kernel } = shape;
  const inputs = {
    x: spec([batch, height, width, channels]),
    weight: spec([...kernel, channels]),
    bias: spec([channels]),
  };
  const random = seeded(channels);
  const values = {
    x: randomNormals(elementCount(inputs.x.shape), random),
    weight: randomNormals(elementCount(inputs.weight.shape), random),
    bias: randomNormals(channels, random),
  };
  const { y } = await runOp(device, inputs, values, (t) => ({
    y: maximum(add(depthwiseConv2d(t.x, t.weight, shape), t.bias), 0),
  }));
  const expected = depthwiseReference(values.x, values.weight, shape).map((value, i) =>
    Math.max(0, value + values.bias[i % channels]),
  );
  expect(relativeError(y, expected)).toBeLessThanOrEqual(1e-6);
});

test('images beyond one binding are cut', async () => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: 4096 } });
  const shape = {
    ...{ batch: 7, height: 9, width: 5, channels: 12 },
    ...{ kernel: [3, 3] as const, stride: 1 as const, padding: { top: 1, bottom: 1, left: 1, right: 1 } },
  };
  const inputs = { x: spec([7, 9, 5, 12]), weight: spec([3, 3, 12]) };
  const values = { x: randomNormals(7 * 540, seeded(1)), weight: randomNormals(108, seeded(2)) };
  const fn = (t: {
    x: Parameters<typeof depthwiseConv2d>[0];
    weight: Parameters<typeof depthwiseConv2d>[1];
  }) => ({
    y: depthwiseConv2d(t.x, t.weight, shape),
  });
  expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(4);
  const { y } = await runOp(small, inputs, values, fn);
  expect(relativeError(y, depthwiseReference(values.x, values.weight, shape))).toBeLessThanOrEqual(1e-6);
  small.destroy();
});

test('a weight of other channels is refused', () => {
  const make = () =>
    trace({ x: spec([1, 4, 4, 3]), w: spec([3, 3, 4]) }, (t) => ({ y: depthwiseConv2d(t.x, t.w) }));
  expect(make).toThrow('x must be [batch, height, width, channels] and weight [kh, kw, channels]');
});

test.each([0.5, -1])('a padding of %d is refused', (top) => {
  const padding = { top, bottom: 2, left: 0, right: 0 };
  const make = () =>
    trace({ x: spec([1, 4, 4, 3]), w: spec([3, 3, 3]) }, (t) => ({
      y: depthwiseConv2d(t.x, t.w, { padding }),
    }));
  expect(make).toThrow(/^depthwiseConv2d: padding must be whole and not negative, not {"top":/);
});
