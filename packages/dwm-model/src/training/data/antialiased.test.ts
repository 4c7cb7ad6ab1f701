import { expect, test } from 'vitest';
import { resizeAntialiased } from './antialiased.ts';

const row = (values: readonly number[]) => Float32Array.from(values.flatMap((value) => [value, 0, -value]));
const reds = (values: ArrayLike<number>) => Array.from(values).filter((_, i) => i % 3 === 0);

test('a smaller picture is a triangle over every pixel, a larger one plain bilinear', () => {
  // Of 6 to 2 the kernel reaches 3 pixels to each side of 1.5 and 4.5: weights 2, 3, 2, 1, and turned around.
  const small = resizeAntialiased(
    row([1, 2, 4, 8, 16, 32]),
    { frames: 1, height: 1, width: 6 },
    { height: 1, width: 2 },
  );
  const [left, right] = reds(small);
  expect(left).toBeCloseTo((2 * 1 + 3 * 2 + 2 * 4 + 1 * 8) / 8, 5);
  expect(right).toBeCloseTo((1 * 4 + 2 * 8 + 3 * 16 + 2 * 32) / 8, 5);
  const large = resizeAntialiased(row([0, 8]), { frames: 1, height: 1, width: 2 }, { height: 1, width: 4 });
  expect(reds(large)).toEqual([0, 2, 6, 8]);
});

test('frames are resized on their own, rows as columns are', () => {
  const clip = Float32Array.from({ length: 2 * 4 * 3 * 3 }, (_, i) => (i * 7) % 23);
  const size = { frames: 2, height: 4, width: 3 };
  const both = resizeAntialiased(clip, size, { height: 2, width: 5 });
  const second = resizeAntialiased(clip.subarray(36), { ...size, frames: 1 }, { height: 2, width: 5 });
  expect(Array.from(both).slice(30)).toEqual(Array.from(second));
  const turned = Float32Array.from({ length: 36 }, (_, i) => {
    const [c, y, x] = [i % 3, Math.floor(i / 3) % 4, Math.floor(i / 12)];
    return clip[36 + (y * 3 + x) * 3 + c];
  });
  const other = resizeAntialiased(turned, { frames: 1, height: 3, width: 4 }, { height: 5, width: 2 });
  for (let y = 0; y < 2; y++)
    for (let x = 0; x < 5; x++)
      for (let c = 0; c < 3; c++)
        expect(second[(y * 5 + x) * 3 + c]).toBeCloseTo(other[(x * 2 + y) * 3 + c], 4);
});
