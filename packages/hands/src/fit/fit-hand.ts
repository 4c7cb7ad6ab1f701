/**
 * Our hand put where landmarks show one: the posture whose 21 points lie nearest to those of the picture, and, about
 * their middle, to those in metres, within what joints do. The size of the hand is given, so its distance follows from
 * the picture.
 */
import { type Intrinsics, type Quaternion, rotations, type Vec3 } from '@dwm/renderer';
import { LANDMARK_JOINTS, landmarksToJoints, placeLandmarks } from '@dwm/renderer/recordings';
import type { SeenHand } from '../tracker/types.ts';
import { type Articulation, FREEDOMS, type Posture } from './articulation.ts';
import { leastSquares } from './least-squares.ts';

const { compose, fromAxisAngle, inverse, vec3At } = rotations;

/** How far landmarks are off: in the picture by the hand's extent there, and in space in metres. */
const DEVIATION = { picture: 0.03, space: 0.015 };
/** Angles are near those at rest, or of the frame before, unless landmarks say otherwise; radians. */
const REST_DEVIATION = 1;
/** Beyond its limits a joint hardly goes. */
const LIMIT_DEVIATION = 0.05;
const STEPS = 15;

/** Fingers on the way to a fist: from straight ones a fist is not always reached. */
const HALF_BENT = FREEDOMS.map(({ most }) => (most > 1 ? 0.5 : 0));

/** A hand's posture before a camera at the origin, OpenGL axes, and how well it fits. */
export interface FittedHand {
  readonly posture: Posture;
  /** Root mean square distance of its points from those seen, in pixels. */
  readonly error: number;
}

/**
 * @param rest the hand at rest that `hand` bends, [25, 7].
 * @param near posture to begin with, of the frame before.
 * @returns undefined where the landmarks are not those of a hand in front of the camera.
 */
export function fitHand(
  seen: SeenHand,
  camera: Intrinsics,
  hand: Articulation,
  rest: ArrayLike<number>,
  near?: Posture,
): FittedHand | undefined {
  const start = firstGuess(seen, camera, rest);
  if (!start) return undefined;
  const extent = extentOf(seen);
  const middle = middleOf(seen.world);
  const angles = near?.angles ?? FREEDOMS.map(() => 0);
  const postureOf = (x: readonly number[]): Posture => ({
    place: [x[0], x[1], x[2]],
    rotation: compose(fromAxisAngle([x[3], x[4], x[5]]), start.rotation),
    angles: x.slice(6),
  });
  const residuals = (x: readonly number[]): number[] => {
    const points = landmarksOf(hand, postureOf(x));
    const centre = middleOf(points);
    const out: number[] = [];
    seen.points.forEach(([u, v], i) => {
      const [px, py] = projected(points, i, camera);
      out.push((px - u) / (DEVIATION.picture * extent), (py - v) / (DEVIATION.picture * extent));
      // MediaPipe's metres are in OpenCV's axes.
      for (const [axis, sign] of [1, -1, -1].entries()) {
        const wanted = sign * (seen.world[3 * i + axis] - middle[axis]);
        out.push((points[3 * i + axis] - centre[axis] - wanted) / DEVIATION.space);
      }
    });
    FREEDOMS.forEach(({ least, most }, i) => {
      const angle = x[6 + i];
      out.push((angle - angles[i]) / REST_DEVIATION);
      out.push((Math.max(0, angle - most) - Math.max(0, least - angle)) / LIMIT_DEVIATION);
    });
    return out;
  };
  const from = (begin: readonly number[]) =>
    leastSquares(residuals, [...start.place, 0, 0, 0, ...begin], STEPS);
  const cost = (x: readonly number[]) => residuals(x).reduce((sum, value) => sum + value * value, 0);
  const [straight, bent] = [from(angles), from(HALF_BENT)];
  const posture = postureOf(cost(bent) < cost(straight) ? bent : straight);
  if (!(posture.place[2] < 0)) return undefined;
  return { posture, error: reprojectionError(seen, camera, hand, posture) };
}

/** How much larger the hand in metres is than the one at rest, by the bones of the palm. */
export function sizeOf(seen: SeenHand, rest: ArrayLike<number>): number {
  const length = (data: ArrayLike<number>, a: number, b: number) =>
    rotations.length(rotations.subtract(vec3At(data, a), vec3At(data, b)));
  const knuckles = [5, 9, 13, 17];
  const sum = (of: (landmark: number) => number) => knuckles.reduce((total, k) => total + of(k), 0);
  return sum((k) => length(seen.world, 0, 3 * k)) / sum((k) => length(rest, 0, 7 * LANDMARK_JOINTS[k]));
}

export function firstGuess(seen: SeenHand, camera: Intrinsics, rest: ArrayLike<number>) {
  const metric = seen.points.map((_, i) => vec3At(seen.world, 3 * i));
  const offset = placeLandmarks(metric, seen.points, camera);
  if (!offset || !(offset[2] > 0.05)) return undefined;
  const landmarks = metric.flatMap(([x, y, z]) => [x + offset[0], -(y + offset[1]), -(z + offset[2])]);
  const joints = landmarksToJoints(landmarks, rest);
  const turnAt = (data: ArrayLike<number>): Quaternion => [data[3], data[4], data[5], data[6]];
  return { place: vec3At(joints, 0), rotation: compose(turnAt(joints), inverse(turnAt(rest))) };
}

/** [21, 3] of a posture. */
function landmarksOf(hand: Articulation, posture: Posture): Float64Array {
  const joints = hand.joints(posture);
  const points = new Float64Array(63);
  for (const [i, joint] of LANDMARK_JOINTS.entries())
    points.set(joints.subarray(7 * joint, 7 * joint + 3), 3 * i);
  return points;
}

function projected(points: Float64Array, i: number, { fx, fy, cx, cy }: Intrinsics): [number, number] {
  // A point behind the camera is pulled before it rather than mirrored.
  const depth = Math.max(0.01, -points[3 * i + 2]);
  return [cx + (fx * points[3 * i]) / depth, cy - (fy * points[3 * i + 1]) / depth];
}

export function reprojectionError(
  seen: SeenHand,
  camera: Intrinsics,
  hand: Articulation,
  posture: Posture,
): number {
  const points = landmarksOf(hand, posture);
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

function middleOf(points: ArrayLike<number>): Vec3 {
  const sums = [0, 0, 0];
  for (let i = 0; i < points.length; i++) sums[i % 3] += points[i];
  const count = points.length / 3;
  return [sums[0] / count, sums[1] / count, sums[2] / count];
}
