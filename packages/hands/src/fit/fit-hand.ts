/**
 * Our hand put where landmarks show one: the posture whose 21 points lie nearest to those of the picture, and, about
 * their middle, to those in metres, within what joints do. The size of the hand is given, so its distance follows from
 * the picture.
 */
import { type Intrinsics, type Quaternion, rotations } from '@dwm/renderer';
import { LANDMARK_JOINTS, landmarksToJoints } from '@dwm/renderer/recordings';
import type { SeenHand } from '../tracker/types.ts';
import { type Articulation, FREEDOMS, type Posture } from './articulation.ts';
import {
  beyondLimit,
  differences,
  extentOf,
  landmarksOf,
  placed,
  reprojectionError,
  sumOfSquares,
} from './differences.ts';
import { leastSquares } from './least-squares.ts';

const { compose, fromAxisAngle, inverse, vec3At } = rotations;

/** How far landmarks are off: in the picture by the hand's extent there, and in space in metres. */
const DEVIATION = { picture: 0.03, space: 0.015 };
/** Angles are near those at rest, or of the frame before, unless landmarks say otherwise; radians. */
const REST_DEVIATION = 1;
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
  const off = differences(seen, camera, {
    pixels: DEVIATION.picture * extentOf(seen),
    metres: DEVIATION.space,
  });
  const angles = near?.angles ?? FREEDOMS.map(() => 0);
  const postureOf = (x: readonly number[]): Posture => ({
    place: [x[0], x[1], x[2]],
    rotation: compose(fromAxisAngle([x[3], x[4], x[5]]), start.rotation),
    angles: x.slice(6),
  });
  const residuals = (x: readonly number[]): number[] => {
    const out = off(landmarksOf(hand.joints(postureOf(x))));
    FREEDOMS.forEach((freedom, i) => {
      const angle = x[6 + i];
      out.push((angle - angles[i]) / REST_DEVIATION, beyondLimit(angle, freedom));
    });
    return out;
  };
  const from = (begin: readonly number[]) =>
    leastSquares(residuals, [...start.place, 0, 0, 0, ...begin], STEPS);
  const cost = (x: readonly number[]) => sumOfSquares(residuals(x));
  const [straight, bent] = [from(angles), from(HALF_BENT)];
  const posture = postureOf(cost(bent) < cost(straight) ? bent : straight);
  if (!(posture.place[2] < 0)) return undefined;
  return { posture, error: reprojectionError(seen, camera, landmarksOf(hand.joints(posture))) };
}

/** How much larger the hand in metres is than the one at rest, by the bones of the palm. */
export function sizeOf(seen: SeenHand, rest: ArrayLike<number>): number {
  const length = (data: ArrayLike<number>, a: number, b: number) =>
    rotations.length(rotations.subtract(vec3At(data, a), vec3At(data, b)));
  const knuckles = [5, 9, 13, 17];
  const sum = (of: (landmark: number) => number) => knuckles.reduce((total, k) => total + of(k), 0);
  return sum((k) => length(seen.world, 0, 3 * k)) / sum((k) => length(rest, 0, 7 * LANDMARK_JOINTS[k]));
}

/** The posture of the network's metres, where the picture shows them; undefined where that is behind the camera. */
export function firstGuess(seen: SeenHand, camera: Intrinsics, rest: ArrayLike<number>) {
  const metric = seen.points.map((_, i) => vec3At(seen.world, 3 * i));
  const offset = placed(metric, seen, camera);
  if (!offset) return undefined;
  const landmarks = metric.flatMap(([x, y, z]) => [x + offset[0], -(y + offset[1]), -(z + offset[2])]);
  const joints = landmarksToJoints(landmarks, rest);
  const turnAt = (data: ArrayLike<number>): Quaternion => [data[3], data[4], data[5], data[6]];
  return { place: vec3At(joints, 0), rotation: compose(turnAt(joints), inverse(turnAt(rest))) };
}
