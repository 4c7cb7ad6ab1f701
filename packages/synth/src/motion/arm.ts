/** The elbow between a shoulder and a wrist: two bones, the elbow hanging down and outwards (law of cosines). */
import { type HandSide, rotations, type Vec3 } from '@dwm/renderer';

const { add, cross, direction, dot, length, scale, subtract } = rotations;

const UPPER_ARM = 0.3;
const FOREARM = 0.27;
/** Where the shoulder cannot follow the hand, the forearm shown is this long at most. */
const STRETCHED = 0.4;

/** @param right the viewer's right. */
export function shoulderOf(side: HandSide, eye: Vec3, right: Vec3): Vec3 {
  return add(add(eye, scale(right, side === 'right' ? 0.19 : -0.19)), [0, -0.25, -0.03]);
}

/** The elbow of an arm that is out of reach lies on the straight line. */
export function elbowOf(side: HandSide, shoulder: Vec3, wrist: Vec3, right: Vec3): Vec3 {
  const reach = subtract(wrist, shoulder);
  const distance = Math.max(0.08, length(reach));
  const along = direction(reach) ?? [0, -1, 0];
  if (distance >= UPPER_ARM + FOREARM)
    return subtract(wrist, scale(along, Math.min(STRETCHED, distance - UPPER_ARM)));
  const cosine = (UPPER_ARM ** 2 + distance ** 2 - FOREARM ** 2) / (2 * UPPER_ARM * distance);
  const ahead = Math.min(1, Math.max(-1, cosine)) * UPPER_ARM;
  const aside = Math.sqrt(Math.max(0, UPPER_ARM ** 2 - ahead ** 2));
  const hang: Vec3 = add([0, -1, 0.15], scale(right, side === 'right' ? 0.6 : -0.6));
  const off = direction(subtract(hang, scale(along, dot(hang, along)))) ?? cross(along, [0, 0, 1]);
  return add(shoulder, add(scale(along, ahead), scale(off, aside)));
}
