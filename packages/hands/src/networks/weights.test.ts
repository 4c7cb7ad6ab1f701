import { expect, test } from 'vitest';
import { LayerWeights } from './weights.ts';

const directory = {
  keys: ['model_1/model/conv2d_1/Conv2D', 'model_1/model/conv2d_1/BiasAdd;other', 'x/y'],
  shapes: [[2, 1], [2], [1]],
  offsets: [0, 4, 8],
  dtype: 'float16',
};
const bytes = new Uint8Array(new Uint16Array([0x3c00, 0xc000, 0x0001, 0x7bff, 0x3555]).buffer);
const weights = (change: object = {}, data = bytes) =>
  new LayerWeights({ name: 'w.json', json: JSON.stringify({ ...directory, ...change }), bytes: data });

test('a tensor is found by layer and shape, and f16 is expanded', () => {
  expect([...weights().get('conv2d_1', [2, 1])]).toEqual([1, -2]);
  expect([...weights().get('conv2d_1', [2])]).toEqual([2 ** -24, 65504]);
  expect(weights().get('x', [1])[0]).toBeCloseTo(1 / 3, 3);
  expect(() => weights().get('conv2d_1', [3])).toThrow(
    'w.json: layer conv2d_1 has [2,1] and [2], expected [3]',
  );
});

test.each([
  ['a tensor beyond the end', {}, bytes.subarray(0, 9), '"x/y" ends at byte 10, and there are 9'],
  ['no shapes', { shapes: [[1]] }, bytes, 'has no list "shapes"'],
  ['a place before the start', { offsets: [0, 4, -2] }, bytes, 'has no list "offsets"'],
  ['another type', { dtype: 'int8' }, bytes, 'has no "dtype"'],
])('%s is refused', (_, change, data, message) => {
  expect(() => weights(change, data)).toThrow(message);
});
