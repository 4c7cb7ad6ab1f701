/**
 * The colours of a hand, however bright: shares of red and green, counted along the bones of the palm, where little
 * hides it. Sleeves and things that look like hands to a network differ in them.
 */
import type { Picture, Point2 } from './types.ts';

const BINS = 16;
/** Shares of red and of green that are told apart. */
const [LEAST, MOST] = [0.15, 0.65];

/** Between which landmarks colours are counted. */
const BONES = [
  [0, 2],
  [0, 5],
  [0, 9],
  [0, 13],
  [0, 17],
  [2, 5],
  [5, 9],
  [9, 13],
  [13, 17],
  [5, 6],
  [9, 10],
  [13, 14],
];
const STEPS = 12;

/** How often each colour is seen, of a sum of 1, by bin; nothing where no point is in the picture. */
export type Colours = Float64Array;

/** @param points the 21 landmarks. */
export function coloursOf({ data, width, height }: Picture, points: readonly Point2[]): Colours {
  const counts = new Float64Array(BINS * BINS);
  let total = 0;
  for (const [from, to] of BONES)
    for (let step = 0; step <= STEPS; step++) {
      const [x, y] = [0, 1].map((axis) =>
        Math.floor(points[from][axis] + ((points[to][axis] - points[from][axis]) * step) / STEPS),
      );
      if (!(x >= 0 && y >= 0 && x < width && y < height)) continue;
      const at = 3 * (y * width + x);
      const sum = data[at] + data[at + 1] + data[at + 2];
      if (sum === 0) continue;
      total++;
      spread(counts, bin(data[at] / sum), bin(data[at + 1] / sum));
    }
  return counts.map((count) => count / Math.max(1, total));
}

const bin = (share: number) =>
  Math.min(BINS - 1.001, Math.max(0, ((share - LEAST) / (MOST - LEAST)) * BINS - 0.5));

/** Adds one, shared by the four bins about a place. */
function spread(counts: Float64Array, red: number, green: number): void {
  const [row, column] = [Math.floor(red), Math.floor(green)];
  const [a, b] = [red - row, green - column];
  const at = row * BINS + column;
  counts[at] += (1 - a) * (1 - b);
  counts[at + 1] += (1 - a) * b;
  counts[at + BINS] += a * (1 - b);
  counts[at + BINS + 1] += a * b;
}

/** 0 to 1: Bhattacharyya's coefficient. */
export const alike = (a: Colours, b: Colours): number =>
  a.reduce((sum, value, i) => sum + Math.sqrt(value * b[i]), 0);
