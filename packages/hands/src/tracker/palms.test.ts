import { expect, test } from 'vitest';
import { palmRegions } from './palms.ts';
import { fromRegion, overlap, regionOfLandmarks } from './region.ts';

/** The detector's numbers with a palm at every box given; all others have a score of 0. */
function detected(boxes: Readonly<Record<number, readonly number[]>>): Float32Array {
  const values = new Float32Array(2016 * 19);
  for (let i = 0; i < 2016; i++) values[i * 19] = -50;
  for (const [box, numbers] of Object.entries(boxes)) values.set(numbers, Number(box) * 19);
  return values;
}

/** Score, box and seven points about a cell's middle: the wrist below, the middle knuckle above. */
const upright = (score: number, size: number, aside = 0): number[] => {
  const points = [0, size / 2, 0, 0, 0, -size / 2, ...Array(8).fill(0)];
  return [score, aside, 0, size, size, ...points.map((value, k) => value + (k % 2 === 0 ? aside : 0))];
};

test('a palm leads to a square above it, in pixels of the picture', () => {
  // Cell (12, 6) of the fine grid: its middle is at (100, 52) of 192.
  const box = (6 * 24 + 12) * 2;
  const view = { x: 480, y: 270, size: 960, angle: 0 };
  const [{ region, score }] = palmRegions(detected({ [box]: upright(2, 20) }), view, 0.5);
  expect(score).toBeCloseTo(1 / (1 + Math.exp(-2)), 6);
  expect(region.x).toBeCloseTo(500, 3);
  // 52 of 192 is 260 of 960, in a view that begins 210 above the picture; half of 100 further up.
  expect(region.y).toBeCloseTo(260 - 210 - 50, 3);
  expect(region.size).toBeCloseTo(2.6 * 100, 3);
  expect(region.angle).toBeCloseTo(0, 6);
});

test('boxes of one palm are their mean by score, others stay apart, the surest first', () => {
  const view = { x: 96, y: 96, size: 192, angle: 0 };
  const coarse = (cell: number) => 1152 + cell * 6;
  const found = palmRegions(
    detected({
      [coarse(13)]: upright(0, 40),
      [coarse(13) + 1]: upright(0, 40, 4),
      [coarse(100)]: upright(3, 40),
      [coarse(60)]: upright(-1, 40),
    }),
    view,
    0.5,
  );
  expect(found.map(({ region }) => Math.round(region.x))).toEqual([72, 26]);
});

const hand = (angle: number) => {
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  return Array.from({ length: 21 }, (_, i) => {
    const [x, y] = i === 0 ? [0, 60] : [(Math.floor((i - 1) / 4) - 2) * 20, -20 * ((i - 1) % 4)];
    return [200 + cosine * x - sine * y, 100 + sine * x + cosine * y] as const;
  });
};

test('the region of a turned hand is the turned region of the hand', () => {
  const [still, turned] = [regionOfLandmarks(hand(0)), regionOfLandmarks(hand(2))];
  expect(turned.size).toBeCloseTo(still.size, 6);
  expect(turned.angle - still.angle).toBeCloseTo(2, 6);
  const [u, v] = [still.x - 200, still.y - 100];
  expect(turned.x - 200).toBeCloseTo(Math.cos(2) * u - Math.sin(2) * v, 6);
  expect(turned.y - 100).toBeCloseTo(Math.sin(2) * u + Math.cos(2) * v, 6);
  expect(fromRegion(turned, 0.5, 0.5)).toEqual([turned.x, turned.y]);
});

test('regions overlap by their share', () => {
  const at = (x: number) => ({ x, y: 0, size: 2, angle: 0 });
  expect(overlap(at(0), at(0))).toBe(1);
  expect(overlap(at(0), at(1))).toBeCloseTo(1 / 3, 9);
  expect(overlap(at(0), at(3))).toBe(0);
});
