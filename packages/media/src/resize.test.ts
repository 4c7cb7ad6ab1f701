import { seeded } from '@dwm/core-tensor/testing';
import { expect, test } from 'vitest';
import { resizeSmooth } from './resize.ts';

/** A picture whose value is linear in place: what a linear filter keeps, away from the border. */
const slope = (height: number, width: number, dx: number, dy: number) => ({
  height,
  width,
  data: Uint8Array.from({ length: height * width * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return Math.round(20 + dx * (x + 0.5) + dy * (y + 0.5));
  }),
});

test.each([
  [40, 60, 20, 30],
  [40, 60, 17, 23],
  [40, 60, 80, 120],
  [31, 47, 40, 29],
])('a slope of %ix%i stays one at %ix%i', (height, width, toHeight, toWidth) => {
  const [dx, dy] = [1.5, 2.25];
  const resized = resizeSmooth(slope(height, width, dx, dy), toHeight, toWidth);
  expect([resized.height, resized.width]).toEqual([toHeight, toWidth]);
  const [sx, sy] = [width / toWidth, height / toHeight];
  for (let y = 2; y < toHeight - 2; y++) {
    for (let x = 2; x < toWidth - 2; x++) {
      const want = 20 + dx * (x + 0.5) * sx + dy * (y + 0.5) * sy;
      expect(Math.abs(resized.data[(y * toWidth + x) * 3] - want)).toBeLessThan(1.01);
    }
  }
});

test('noise that shrinks becomes its mean, a uniform picture stays, the same size is a copy', () => {
  const random = seeded(3);
  const noise = { height: 90, width: 90, data: new Uint8Array(90 * 90 * 3).map(() => 255 * random()) };
  for (const value of resizeSmooth(noise, 3, 3).data) expect(Math.abs(value - 127.5)).toBeLessThan(12);
  const grey = { height: 7, width: 5, data: new Uint8Array(105).fill(200) };
  expect(new Set(resizeSmooth(grey, 13, 3).data)).toEqual(new Set([200]));
  expect(resizeSmooth(noise, 90, 90).data).toEqual(noise.data);
  expect(() => resizeSmooth({ ...grey, width: 6 }, 3, 3)).toThrow(/holds 105 bytes/);
});
