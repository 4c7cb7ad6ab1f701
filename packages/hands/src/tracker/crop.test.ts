import { expect, test } from 'vitest';
import { cropRegion } from './crop.ts';

/** 4x2 pixels, red counts along a row, green rows; blue is full. */
const picture = {
  ...{ width: 4, height: 2 },
  data: Uint8Array.from(
    { length: 24 },
    (_, i) => [51 * (Math.floor(i / 3) % 4), 102 * Math.floor(i / 12), 255][i % 3],
  ),
};
const colours = (
  region: { x: number; y: number; size: number; angle: number },
  size: number,
  outside: 'edge' | 'black',
) =>
  Array.from({ length: size * size }, (_, i) =>
    [...cropRegion(picture, region, size, outside).subarray(3 * i, 3 * i + 3)].map(
      (value) => Math.round(value * 100) / 100,
    ),
  );

test('a part of its own size has the pixels themselves; a turned one begins at its own upper left', () => {
  const middle = { x: 2, y: 1, size: 2 };
  expect(colours({ ...middle, angle: 0 }, 2, 'edge')).toEqual([
    [0.2, 0, 1],
    [0.4, 0, 1],
    [0.2, 0.4, 1],
    [0.4, 0.4, 1],
  ]);
  // Turned clockwise by a quarter: its own right is down in the picture.
  expect(colours({ ...middle, angle: Math.PI / 2 }, 2, 'edge')).toEqual([
    [0.4, 0, 1],
    [0.4, 0.4, 1],
    [0.2, 0, 1],
    [0.2, 0.4, 1],
  ]);
});

test('between pixels are means; beyond the edge is its colour, or black', () => {
  expect(colours({ x: 2, y: 1, size: 1, angle: 0 }, 1, 'edge')).toEqual([[0.3, 0.2, 1]]);
  expect(colours({ x: -1, y: 0.5, size: 1, angle: 0 }, 1, 'edge')).toEqual([[0, 0, 1]]);
  expect(colours({ x: -1, y: 0.5, size: 1, angle: 0 }, 1, 'black')).toEqual([[0, 0, 0]]);
});
