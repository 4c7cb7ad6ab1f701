import { expect, test } from 'vitest';
import { begin, clarityOf, continued } from './followed.ts';
import type { Point2, SeenHand } from './types.ts';

/** 120x60 pixels: a hand's colour on the left, in half the light below; a red sleeve's on the right. */
const width = 120;
const picture = {
  ...{ width, height: 60 },
  data: Uint8Array.from({ length: width * 60 * 3 }, (_, i) => {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    const colour = pixel % width < 60 ? [160, 120, 100] : [180, 40, 60];
    return colour[channel] / (pixel < 30 * width ? 1 : 2);
  }),
};

/** An upright hand of 20 pixels with its wrist there. */
function at(x: number, y: number, size = 20, presence = 0.8): SeenHand {
  const points = Array.from({ length: 21 }, (_, i): Point2 => {
    const [finger, joint] = [Math.floor((i - 1) / 4), (i - 1) % 4];
    return i === 0 ? [x, y] : [x + (size * (finger - 2)) / 6, y - size * (0.5 + joint / 6)];
  });
  return { side: 'left', sideCertainty: 1, presence, atOnce: true, points, world: new Float64Array(63) };
}

const look = (hand: SeenHand) => ({
  hand,
  region: { x: 0, y: 0, size: 1, angle: 0 },
  clarity: hand.presence,
});
const known = begin(picture, look(at(30, 28)));
const clarity = (hand: SeenHand) => clarityOf(picture, hand, known);

test('a hand is known again by its colours in other light, not on a sleeve', () => {
  expect(clarity(at(30, 28))).toBeCloseTo(0.8, 6);
  const [shade, sleeve] = [clarity(at(30, 50)), clarity(at(90, 28, 20, 1))];
  expect(shade).toBeGreaterThan(10 * sleeve);
  const far = { ...known, look: look(at(90, 50)) };
  expect(clarityOf(picture, at(90, 28), far)).toBeLessThan(0.05);
});

test('near and of its size it is clearer', () => {
  expect(clarity(at(34, 28))).toBeGreaterThan(2 * clarity(at(54, 28)));
  expect(clarity(at(30, 28, 22))).toBeGreaterThan(2 * clarity(at(30, 28, 34)));
});

test('what is learned of a hand is by how clearly it is seen', () => {
  const growth = (presence: number) =>
    continued(picture, known, look(at(30, 28, 40, presence))).size / known.size;
  expect(growth(0)).toBe(1);
  expect(growth(0.9)).toBeGreaterThan(growth(0.3));
  expect(growth(1)).toBeCloseTo(2 ** 0.2, 6);
});
