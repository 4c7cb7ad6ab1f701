/**
 * The pose that the hand's surface is made in: the skeleton of the motions, a right hand flat with its palm down, its
 * fingers fanned out until a distance tells one from another, the thumb beside the palm.
 */
import { rotations, type Vec3 } from '@dwm/renderer';
import type { Matrix } from '@dwm/renderer/scene';
import { FINGER_JOINTS, jointAt, poseSkeleton } from '../motion/skeleton.ts';

const { add, compose, fromAxisAngle, rotate, subtract, toMatrix3 } = rotations;

export type Point = Vec3;

/** Further fanning of index, middle, ring and little finger, radians about +y. */
const FANNING = [0.14, 0.03, -0.08, -0.16];

const straight = { knuckle: 0, middle: 0, end: 0 };
const flat = poseSkeleton(
  { side: 'right', size: 1 },
  { position: [0, 0, 0], rotation: [0, 0, 0, 1] },
  { thumb: { opposition: 0, middle: 0, end: 0 }, fingers: [straight, straight, straight, straight] },
);

/** Radius of flesh around each of the 25 joints, metres. */
export const REST_RADII: ArrayLike<number> = flat.radii;

/** World matrices of the 25 joints of a right hand with its wrist at the origin. */
export const REST_JOINTS: readonly Matrix[] = Array.from({ length: 25 }, (_, joint) => {
  const finger = FINGER_JOINTS.findIndex((chain) => chain.includes(joint)) - 1;
  const turn = fromAxisAngle([0, FANNING[finger] ?? 0, 0]);
  const root = jointAt(flat.joints, finger < 0 ? joint : FINGER_JOINTS[finger + 1][0]);
  const position = add(root, rotate(turn, subtract(jointAt(flat.joints, joint), root)));
  const [x, y, z, w] = flat.joints.subarray(7 * joint + 3, 7 * joint + 7);
  const r = toMatrix3(compose(turn, [x, y, z, w]));
  return Float64Array.of(
    ...[0, 1, 2].flatMap((row) => [...r.slice(3 * row, 3 * row + 3), position[row]]),
    ...[0, 0, 0, 1],
  );
});

export const jointPosition = (joint: Matrix): Point => [joint[3], joint[7], joint[11]];

/** The same joint of a left hand: mirrored in x, its axes still right-handed. */
export function mirrored(joint: Matrix): Matrix {
  // S M diag(-1, 1, 1): bone (-z) and back (+y) are mirrored, x turns round.
  return Float64Array.from(joint, (value, i) => (i < 4 ? -value : value) * (i % 4 === 0 && i < 12 ? -1 : 1));
}
