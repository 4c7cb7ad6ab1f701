/** Sampled references say the same as whole ones, and ours meets every family at an odd size. */
import type { Device } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { seeded } from '@dwm/core-tensor/testing';
import { convReference } from '@dwm/kernels-wgsl/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kernelCase } from '../case.ts';
import { measure } from '../measure.ts';
import { normals } from '../random.ts';
import { count, familyOf, type Task } from './index.ts';

const TASKS: readonly Task[] = [
  { op: 'matmul', m: 37, k: 29, n: 31, linear: true },
  { op: 'matmul', m: 5, k: 7, n: 3, linear: false },
  { op: 'attention', tokens: 33, heads: 3, headDim: 16 },
  { op: 'conv', kt: 1, frames: 2, height: 5, width: 7, inChannels: 6, outChannels: 9 },
  { op: 'conv', kt: 3, frames: 3, height: 5, width: 7, inChannels: 6, outChannels: 9 },
  { op: 'layerNorm', rows: 9, channels: 33 },
  { op: 'groupNorm', positions: 35, channels: 12, groups: 4 },
  { op: 'softmax', rows: 70, columns: 33 },
  ...(['gateResidual', 'modulate', 'gelu', 'siluMultiply'] as const).map(
    (chain): Task => ({ op: 'pointwise', chain, rows: 5, channels: 13 }),
  ),
  { op: 'block', tokens: 19, heads: 2 },
  { op: 'resnet', frames: 3, height: 5, width: 4, channels: 32 },
];

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device.destroy());

// The networks compile many shaders, which on a CPU adapter is most of the time.
const PATIENCE = 180_000;

test.each(TASKS)(
  'ours is right: $op',
  async (task) => {
    const [ours] = await measure(await kernelCase({ name: task.op, task }, []).open(device, 3), 0);
    expect(ours.reason).toBeUndefined();
    expect(ours.error).toBeGreaterThan(0);
  },
  PATIENCE,
);

test('a sampled convolution equals the whole one, cached frames and borders included', () => {
  const task = { op: 'conv', kt: 3, frames: 4, height: 5, width: 6, inChannels: 3, outChannels: 2 } as const;
  const family = familyOf(task);
  const random = seeded(5);
  const values = Object.fromEntries(
    Object.entries({ ...family.inputs(task), ...family.weights(task) }).map(([name, shape]) => [
      name,
      normals(count(shape), random),
    ]),
  );
  const { kt, ...size } = task;
  const whole = convReference(
    {
      ...{ ...size, batch: 1, stride: 1, cached: true, kernel: [kt, 3, 3] },
      padding: { top: 1, bottom: 1, left: 1, right: 1 },
      upsample: { time: 1, space: 1, keepFirst: false },
    },
    values.x,
    values.weight,
    values.cache,
  );
  const { at, values: got } = family.expected(task, values, random);
  expect(at.length).toBe(80);
  for (const [i, index] of at.entries())
    expect(got[i]).toBeCloseTo(whole[index] + values.bias[index % 2], 10);
});
