import { expect, test } from 'vitest';
import { clearest } from './clearest.ts';
import type { Region, SeenHand } from './types.ts';

const hand: SeenHand = {
  side: 'left',
  sideCertainty: 1,
  presence: 1,
  atOnce: true,
  points: [],
  world: new Float64Array(63),
};

/** A network that knows a hand best in one square, and what it was shown. */
function network(known: Region) {
  const shown: Region[] = [];
  const look = async (region: Region) => {
    shown.push(region);
    const off = [
      (region.x - known.x) / known.size,
      (region.y - known.y) / known.size,
      Math.log(region.size / known.size),
      region.angle - known.angle,
    ];
    return { hand, region, clarity: Math.exp(-4 * Math.hypot(...off)) };
  };
  return { shown, look };
}

test('a hand is looked at from nearer the square in which it is known', async () => {
  const known = { x: 107, y: 96, size: 76, angle: 0.45 };
  const start = { x: 100, y: 100, size: 60, angle: 0 };
  const { look, shown } = network(known);
  const first = await look(start);
  const best = await clearest(look, [start], 0.9);
  expect(best!.clarity).toBeGreaterThan(3 * first.clarity);
  expect(best!.region.angle).toBeCloseTo(0.4, 9);
  expect(best!.region.size).toBeCloseTo(75, 9);
  expect(shown.length).toBeLessThanOrEqual(10);
});

test('no second look where the first is clear, and none at a square without a size', async () => {
  const start = { x: 100, y: 100, size: 60, angle: 0 };
  const { look, shown } = network(start);
  await clearest(look, [start, { ...start, x: 0 }], 0.9);
  expect(shown).toEqual([start]);
  expect(await clearest(look, [{ ...start, size: Number.NaN }], 0.9)).toBeUndefined();
});
