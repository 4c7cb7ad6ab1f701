/** How far a posture's 21 points are from those seen, and its angles from what joints do. */
import type { Intrinsics, Vec3 } from '@dwm/renderer';
import { LANDMARK_JOINTS, placeLandmarks } from '@dwm/renderer/recordings';
import type { SeenHand } from '../tracker/types.ts';
import type { FREEDOMS } from './articulation.ts';

/** Beyond its limits a joint hardly goes; radians. */
const LIMIT_DEVIATION = 0.05;

/** The points [21, 3] of joints [25, 7]. */
export function landmarksOf(joints: Float64Array): Float64Array {
  const points = new Float64Array(63);
  for (const [i, joint] of LANDMARK_JOINTS.entries())
    points.set(joints.subarray(7 * joint, 7 * joint + 3), 3 * i);
  return points;
}

/**
 * Differences of points [21, 3] from those seen, in deviations. Each point has five: across and down in the picture, and
 * along x, y, z about the hand's middle.
 */
export function differences(
  seen: SeenHand,
  camera: Intrinsics,
  deviation: { readonly pixels: number; readonly metres: number },
): (points: Float64Array) => number[] {
  const middle = middleOf(seen.world);
  return (points) => {
    const centre = middleOf(points);
    const out: number[] = [];
    seen.points.forEach(([u, v], i) => {
      const [px, py] = projected(points, i, camera);
      out.push((px - u) / deviation.pixels, (py - v) / deviation.pixels);
      // MediaPipe's metres are in OpenCV's axes.
      for (const [axis, sign] of [1, -1, -1].entries()) {
        const wanted = sign * (seen.world[3 * i + axis] - middle[axis]);
        out.push((points[3 * i + axis] - centre[axis] - wanted) / deviation.metres);
      }
    });
    return out;
  };
}

/** How far an angle is beyond its limits, in deviations; above zero, below, or zero within them. */
export const beyondLimit = (angle: number, { least, most }: (typeof FREEDOMS)[number]): number =>
  (Math.max(0, angle - most) - Math.max(0, least - angle)) / LIMIT_DEVIATION;

export const sumOfSquares = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value * value, 0);

/** What brings points in OpenCV's axes to where they are seen; undefined nearer than 5 cm or behind the camera. */
export function placed(points: readonly Vec3[], seen: SeenHand, camera: Intrinsics): Vec3 | undefined {
  const offset = placeLandmarks(points, seen.points, camera);
  return offset && offset[2] > 0.05 ? offset : undefined;
}

/** Root mean square distance of points [21, 3] from those seen, pixels. */
export function reprojectionError(seen: SeenHand, camera: Intrinsics, points: Float64Array): number {
  const squares = seen.points.map(([u, v], i) => {
    const [x, y] = projected(points, i, camera);
    return (x - u) ** 2 + (y - v) ** 2;
  });
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / squares.length);
}

/** The larger side of the points' box, pixels. */
export function extentOf({ points }: SeenHand): number {
  const along = (axis: 0 | 1) => {
    const values = points.map((point) => point[axis]);
    return Math.max(...values) - Math.min(...values);
  };
  return Math.max(1, along(0), along(1));
}

function projected(points: Float64Array, i: number, { fx, fy, cx, cy }: Intrinsics): [number, number] {
  // A point behind the camera is pulled before it rather than mirrored.
  const depth = Math.max(0.01, -points[3 * i + 2]);
  return [cx + (fx * points[3 * i]) / depth, cy - (fy * points[3 * i + 1]) / depth];
}

function middleOf(points: ArrayLike<number>): Vec3 {
  const sums = [0, 0, 0];
  for (let i = 0; i < points.length; i++) sums[i % 3] += points[i];
  const count = points.length / 3;
  return [sums[0] / count, sums[1] / count, sums[2] / count];
}
