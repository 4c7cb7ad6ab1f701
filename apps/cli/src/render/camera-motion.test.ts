import { seeded } from '@dwm/core-tensor/testing';
import type { RgbImage } from '@dwm/media/node';
import { expect, test } from 'vitest';
import { cameraMotion } from './camera-motion.ts';

/** A picture of smooth random spots, seen from (x, y), with `over` painted on it. */
function view(
  x: number,
  y: number,
  over: (u: number, v: number) => number | undefined = () => undefined,
): RgbImage {
  const [width, height] = [320, 213];
  const random = seeded(4);
  const waves = Array.from({ length: 24 }, () => [0.15 * random(), 0.15 * random(), 6.3 * random()]);
  const data = new Uint8Array(width * height * 3);
  const noise = seeded(Math.round(1 + 7 * x + 3 * y));
  for (let v = 0; v < height; v++)
    for (let u = 0; u < width; u++) {
      const value = waves.reduce((sum, [a, b, c]) => sum + Math.sin(a * (u + x) + b * (v + y) + c), 0);
      data.fill(over(u, v) ?? 120 + 14 * value + 4 * noise(), (v * width + u) * 3, (v * width + u) * 3 + 3);
    }
  return { width, height, data };
}

const changed = (image: RgbImage, change: (value: number) => number) => ({
  ...image,
  data: image.data.map(change),
});

test('a camera that stands still, whatever the hands and the light do', () => {
  const first = view(0, 0);
  expect(cameraMotion(first, view(0, 0))).toBeUndefined();
  // A hand over a third of the picture, a darker room, a pixel of shake.
  const hand = view(0, 0, (u, v) => (u > 60 && u < 200 && v > 60 ? 90 + ((u * v) % 60) : undefined));
  expect(cameraMotion(first, hand)).toBeUndefined();
  expect(
    cameraMotion(
      first,
      changed(hand, (value) => 0.6 * value + 20),
    ),
  ).toBeUndefined();
  expect(cameraMotion(first, view(1, 1))).toBeUndefined();
  // Nothing to tell by.
  const blank = changed(first, () => 200);
  expect(cameraMotion(blank, view(40, 0))).toBeUndefined();
});

test.each([
  [6, 0],
  [0, -8],
  [10, 7],
])('a camera that moved by %d, %d pixels of 320', (x, y) => {
  const hand = (u: number, v: number) => (u > 100 && u < 180 && v > 80 ? 100 : undefined);
  const motion = cameraMotion(view(0, 0, hand), view(x, y, hand));
  expect(motion!.share).toBeGreaterThan(0.6);
  expect(motion!.shift * 320).toBeGreaterThan(0.8 * Math.hypot(x, y) - 1);
  expect(motion!.shift * 320).toBeLessThan(1.2 * Math.hypot(x, y) + 1);
});

test('another picture altogether', () => {
  expect(cameraMotion(view(0, 0), view(900, 400))!.share).toBeGreaterThan(0.8);
});
