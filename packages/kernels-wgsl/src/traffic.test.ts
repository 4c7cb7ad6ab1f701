import { expect, test } from 'vitest';
import { loadedBytes, resultBytes } from './traffic.ts';

test.each([
  ['all tiles run together', [6, 9], 1, [1, 1]],
  ['64 of a long row, which the next row loads again', [2, 100], 1, [2, 2]],
  ['rows that are short run together', [8, 16], 1, [1, 2]],
  ['squares of 8 x 8', [16, 24], 8, [3, 2]],
  ['a band higher than the tiles', [2, 64], 8, [2, 1]],
] as const)('how often operands are loaded: %s', (_, tiles, band, [left, right]) => {
  expect(loadedBytes({ tiles, band, bytes: [1000, 1] })).toBe(1000 * left + right);
});

test('results, and what is fused into them', () => {
  const window = { byteOffset: 0, byteLength: 50, firstElement: 0 };
  expect(resultBytes(10, 'f16', [window, window])).toBe(20 + 100);
});
