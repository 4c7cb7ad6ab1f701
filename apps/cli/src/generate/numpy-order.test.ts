import { expect, test } from 'vitest';
import { numpyOrder } from './numpy-order.ts';

// numpy 2.4: numpy.random.default_rng(seed).permutation(count)
test.each([
  [42, 7, [3, 2, 6, 4, 1, 5, 0]],
  [0, 5, [2, 4, 3, 0, 1]],
  [123_456_789_012, 11, [4, 6, 8, 7, 1, 3, 0, 10, 5, 2, 9]],
  [42, 300, [261, 293, 61, 253, 166, 26, 127, 284, 19, 254, 191, 290]],
  [1, 1, [0]],
])("seed %i, %i clips: NumPy's order", (seed, count, first) => {
  const order = numpyOrder(seed, count);
  expect(order.slice(0, first.length)).toEqual(first);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
});
