import { elementCount } from '@dwm/kernels-wgsl';
import { CONCAT_SHAPES, concatReference } from '@dwm/kernels-wgsl/testing';
import { expect, test } from 'vitest';
import { openNodeDevice } from '../node/index.ts';
import { planProgram } from '../plan/plan.ts';
import { trace } from '../program.ts';
import { spec } from '../tensor.ts';
import { randomNormals, seeded } from '../testing.ts';
import { concat, pad, split } from './concat.ts';
import { add } from './pointwise.ts';
import { runOp } from './testing.ts';

const device = await openNodeDevice();

const example = (shapes: readonly (readonly number[])[]) => {
  const random = seeded(shapes.length);
  const names = shapes.map((_, k) => `x${k}`);
  return {
    inputs: Object.fromEntries(shapes.map((shape, k) => [names[k], spec(shape)])),
    values: Object.fromEntries(
      shapes.map((shape, k) => [names[k], randomNormals(elementCount(shape), random)]),
    ),
  };
};

test.each(CONCAT_SHAPES)('$shapes along $dim', async ({ shapes, dim }) => {
  const { inputs, values } = example(shapes);
  const { y } = await runOp(device, inputs, values, (t) => ({ y: concat(Object.values(t), dim) }));
  const tensors = shapes.map((shape, k) => ({ shape, data: values[`x${k}`] }));
  expect([...y]).toEqual(concatReference(tensors, dim));
});

// Rows of 441 words: many rows, one row, and a quarter of one are what a binding holds.
test.each([8192, 2048, 512])('segments beyond a binding of %i bytes are cut', async (bytes) => {
  const small = await openNodeDevice({ limits: { maxStorageBufferBindingSize: bytes } });
  const shapes = [
    [9, 50, 3],
    [9, 7, 3],
    [9, 90, 3],
  ];
  const { inputs, values } = example(shapes);
  const fn = (t: Record<string, import('../tensor.ts').Tensor>) => ({ y: concat(Object.values(t), 1) });
  expect(planProgram(trace(inputs, fn), small).dispatches.length).toBeGreaterThan(3);
  const { y } = await runOp(small, inputs, values, fn);
  const tensors = shapes.map((shape, k) => ({ shape, data: values[`x${k}`] }));
  expect([...y]).toEqual(concatReference(tensors, 1));
  small.destroy();
});

test('pad adds values on both sides; split undoes concat', async () => {
  const x = randomNormals(2 * 5 * 3, seeded(1));
  const { padded, left, same, sum } = await runOp(device, { x: spec([2, 5, 3]) }, { x }, (t) => {
    const [a, b] = split(t.x, 1, [2, 3]);
    return {
      padded: pad(t.x, 1, 2, 1, -1.5),
      left: pad(t.x, 0, 1, 0),
      same: concat([a, b], 1),
      sum: add(pad(a, 1, 0, 1), b),
    };
  });
  const constant = (shape: number[], value: number) => ({
    shape,
    data: new Array(elementCount(shape)).fill(value),
  });
  const middle = { shape: [2, 5, 3], data: x };
  expect([...padded]).toEqual(
    concatReference([constant([2, 2, 3], -1.5), middle, constant([2, 1, 3], -1.5)], 1),
  );
  expect([...left]).toEqual([...new Array(15).fill(0), ...x]);
  expect(same).toEqual(x);
  expect(sum[0]).toBe(Math.fround(x[0] + x[6]));
  expect(sum[6]).toBe(x[12]);
});

test.each([
  ['whole words', 6],
  ['half words', 3],
] as const)('bf16 in %s', async (_, width) => {
  const values = [0, 1].map((seed) =>
    Uint16Array.from({ length: 4 * width }, (_, i) => 0x3f80 + ((i * 37 + seed * 11) % 128)),
  );
  const inputs = { a: spec([4, width], 'bf16'), b: spec([4, width], 'bf16') };
  const { y, z } = await runOp(device, inputs, { a: values[0], b: values[1] }, ({ a, b }) => ({
    y: concat([a, b], 1),
    z: pad(a, 1, 0, 2, 1),
  }));
  const tensors = values.map((data) => ({ shape: [4, width], data }));
  expect([...y]).toEqual(concatReference(tensors, 1));
  expect([...z]).toEqual(
    concatReference([tensors[0], { shape: [4, 2], data: new Array(8).fill(0x3f80) }], 1),
  );
});

test('unequal sizes are refused', () => {
  const inputs = { a: spec([2, 3]), b: spec([3, 3]) };
  expect(() => trace(inputs, ({ a, b }) => ({ y: concat([a, b], 1) }))).toThrow(
    'concat: expected one dtype and equal sizes except along dimension 1, got f32 [2,3], f32 [3,3]',
  );
});
