/**
 * Where a hand is looked at: a turned square, in pixels, up along the middle finger. MediaPipe's rules: from a found
 * palm, or from the landmarks of the frame before.
 */
import type { Point2, Region } from './types.ts';

/** The angle of an upright hand whose wrist is at `from` and middle knuckle at `to`. */
function angleOf(from: Point2, to: Point2): number {
  const angle = Math.PI / 2 - Math.atan2(from[1] - to[1], to[0] - from[0]);
  return angle - 2 * Math.PI * Math.floor((angle + Math.PI) / (2 * Math.PI));
}

/** A palm's box is moved half its height towards the fingers, and 2.6 times as large. */
export function regionOfPalm(
  {
    x,
    y,
    width,
    height,
  }: { readonly x: number; readonly y: number; readonly width: number; readonly height: number },
  wrist: Point2,
  knuckle: Point2,
): Region {
  const angle = angleOf(wrist, knuckle);
  return {
    x: x + 0.5 * height * Math.sin(angle),
    y: y - 0.5 * height * Math.cos(angle),
    size: 2.6 * Math.max(width, height),
    angle,
  };
}

/** Wrist, thumb's first three points, and of each finger the two next to the palm: they move less than the tips. */
const STEADY = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18];

/** The box of the steady landmarks, moved a tenth towards the fingers, and twice as large. */
export function regionOfLandmarks(points: readonly Point2[]): Region {
  const middle = (axis: 0 | 1) => ((points[5][axis] + points[13][axis]) / 2 + points[9][axis]) / 2;
  const angle = angleOf(points[0], [middle(0), middle(1)]);
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  const across = STEADY.map((i) => cosine * points[i][0] + sine * points[i][1]);
  const along = STEADY.map((i) => -sine * points[i][0] + cosine * points[i][1]);
  const [left, right] = [Math.min(...across), Math.max(...across)];
  const [top, bottom] = [Math.min(...along), Math.max(...along)];
  const [u, v] = [(left + right) / 2, (top + bottom) / 2 - 0.1 * (bottom - top)];
  return {
    x: cosine * u - sine * v,
    y: sine * u + cosine * v,
    size: 2 * Math.max(right - left, bottom - top),
    angle,
  };
}

/** Where a point of the region's own square, 0 to 1, lies in the picture. */
export function fromRegion({ x, y, size, angle }: Region, u: number, v: number): Point2 {
  const [right, down] = [(u - 0.5) * size, (v - 0.5) * size];
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  return [x + cosine * right - sine * down, y + sine * right + cosine * down];
}

/** Intersection over union of two regions, taken as upright squares. */
export function overlap(a: Region, b: Region): number {
  const along = (p: number, q: number) =>
    Math.max(0, Math.min(p + a.size / 2, q + b.size / 2) - Math.max(p - a.size / 2, q - b.size / 2));
  const both = along(a.x, b.x) * along(a.y, b.y);
  return both / (a.size ** 2 + b.size ** 2 - both);
}
