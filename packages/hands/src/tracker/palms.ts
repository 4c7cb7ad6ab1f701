/**
 * The palm detector's numbers as palms (SSD, Liu et al., 2016): places on a 24x24 and a 12x12 grid each offer boxes,
 * whose numbers are pixels from the place. Boxes that overlap are one palm, the mean by score.
 */
import { PALM_NUMBERS, PALM_SIZE } from '../networks/palm.ts';
import { regionOfPalm } from './region.ts';
import type { Point2, Region } from './types.ts';

/** Cells of the grids, and boxes in each. */
const GRIDS = [
  { cells: 24, boxes: 2 },
  { cells: 12, boxes: 6 },
];

/** Middle of every box's cell, in pixels of the detector's picture. */
const PLACES = GRIDS.flatMap(({ cells, boxes }) =>
  Array.from({ length: cells * cells * boxes }, (_, i): Point2 => {
    const cell = Math.floor(i / boxes);
    const along = (index: number) => ((index + 0.5) * PALM_SIZE) / cells;
    return [along(cell % cells), along(Math.floor(cell / cells))];
  }),
);

/** Boxes that share more than this are of one palm. */
const SAME_PALM = 0.3;

interface Palm {
  readonly score: number;
  /** Centre, width, height, then seven points x y: wrist, and, third, the middle knuckle. */
  readonly numbers: readonly number[];
}

/** Where a hand should be looked at, and how sure the detector is that a palm is there, 0 to 1. */
export interface PalmRegion {
  readonly region: Region;
  readonly score: number;
}

/**
 * The palms in a part of a picture, the surest first.
 * @param values [2016, 19] of the detector.
 * @param view the part of the picture that it was shown, not turned.
 */
export function palmRegions(values: ArrayLike<number>, view: Region, leastScore: number): PalmRegion[] {
  const palms: Palm[] = [];
  PLACES.forEach(([x, y], i) => {
    const at = i * PALM_NUMBERS;
    const score = 1 / (1 + Math.exp(-values[at]));
    if (!(score >= leastScore)) return;
    const numbers = Array.from({ length: PALM_NUMBERS - 1 }, (_, k) => {
      const isSize = k === 2 || k === 3;
      return values[at + 1 + k] + (isSize ? 0 : k % 2 === 0 ? x : y);
    });
    palms.push({ score, numbers });
  });
  palms.sort((a, b) => b.score - a.score);
  const scale = view.size / PALM_SIZE;
  const [left, top] = [view.x - view.size / 2, view.y - view.size / 2];
  return merged(palms).map(({ score, numbers }) => {
    const point = (k: number): Point2 => [left + numbers[k] * scale, top + numbers[k + 1] * scale];
    const [x, y] = point(0);
    const [width, height] = [numbers[2] * scale, numbers[3] * scale];
    return { score, region: regionOfPalm({ x, y, width, height }, point(4), point(8)) };
  });
}

/** Every palm takes in those after it that overlap it. */
function merged(palms: readonly Palm[]): Palm[] {
  const groups: Palm[][] = [];
  for (const palm of palms) {
    const group = groups.find(([first]) => boxOverlap(first, palm) > SAME_PALM);
    if (group) group.push(palm);
    else groups.push([palm]);
  }
  return groups.map((group) => {
    const total = group.reduce((sum, { score }) => sum + score, 0);
    const mean = (k: number) =>
      group.reduce((sum, { score, numbers }) => sum + score * numbers[k], 0) / total;
    return { score: group[0].score, numbers: group[0].numbers.map((_, k) => mean(k)) };
  });
}

function boxOverlap({ numbers: a }: Palm, { numbers: b }: Palm): number {
  const along = (axis: 0 | 1) =>
    Math.max(
      0,
      Math.min(a[axis] + a[2 + axis] / 2, b[axis] + b[2 + axis] / 2) -
        Math.max(a[axis] - a[2 + axis] / 2, b[axis] - b[2 + axis] / 2),
    );
  const both = along(0) * along(1);
  return both / (a[2] * a[3] + b[2] * b[3] - both);
}
