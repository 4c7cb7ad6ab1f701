/**
 * Other people's hands from one rig, by scaling its bones. WebXR joints have -z along the bone and +y dorsal, so a
 * scale in a joint's own frame changes length (z), width (x) and depth (y) apart from each other.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';

/** The fingers, thumb first. */
const FINGERS = ['thumb', 'index', 'middle', 'ring', 'pinky'] as const;
/** A finger of a hand. */
export type Finger = (typeof FINGERS)[number];

/** Factors around 1; what is left out is 1. */
export interface HandShape {
  /** The whole hand. Adults' hands are about 0.85 to 1.15 of the default one. */
  readonly size?: number;
  /** From the knuckle (of the thumb: from its proximal joint) to the tip, on top of `size`. */
  readonly fingerLengths?: Partial<Readonly<Record<Finger, number>>>;
  /** Width and depth of the fingers and depth of the palm, on top of `size`. */
  readonly thickness?: number;
}

/** In WebXR's order of 25: the joint each one hangs on, -1 for the wrist. */
const PARENTS = Array.from({ length: 25 }, (_, joint) =>
  joint === 0 ? -1 : joint === 1 || (joint - 5) % 5 === 0 ? 0 : joint - 1,
);
const THUMB_METACARPAL = 1;

function fingerOf(joint: number): Finger {
  return FINGERS[joint < 5 ? 0 : Math.floor(joint / 5)];
}

/** Wrist and metacarpals. */
function isPalm(joint: number): boolean {
  return joint === 0 || joint === THUMB_METACARPAL || (joint >= 5 && joint % 5 === 0);
}

function lengthOf(joint: number, { size = 1, fingerLengths = {} }: HandShape): number {
  return isPalm(joint) ? size : size * (fingerLengths[fingerOf(joint)] ?? 1);
}

/** Scale of a joint's own frame: x, y, z. */
export function jointScale(joint: number, shape: HandShape): readonly [number, number, number] {
  const { size = 1, thickness = 1 } = shape;
  return [isPalm(joint) ? size : size * thickness, size * thickness, lengthOf(joint, shape)];
}

/**
 * Moves joints to where a hand of another shape has them: every bone is scaled, rotations and the wrist stay.
 * @param joints [25, 7] in WebXR's order: x y z qx qy qz qw.
 */
export function shapeJoints(joints: ArrayLike<number>, shape: HandShape): Float64Array {
  checkShape(shape);
  const out = Float64Array.from(joints);
  PARENTS.forEach((parent, joint) => {
    if (parent < 0) return;
    for (let axis = 0; axis < 3; axis++) {
      const bone = joints[joint * 7 + axis] - joints[parent * 7 + axis];
      out[joint * 7 + axis] = out[parent * 7 + axis] + bone * lengthOf(parent, shape);
    }
  });
  return out;
}

/** @throws InvalidArgumentError for a factor that makes no hand. */
export function checkShape({ size = 1, thickness = 1, fingerLengths = {} }: HandShape): void {
  const factors = { size, thickness, ...fingerLengths };
  for (const [field, factor] of Object.entries(factors)) {
    if (!(factor >= 0.25 && factor <= 4)) {
      throw new InvalidArgumentError(
        field,
        `expected a factor from 0.25 to 4, 1 for no change, got ${factor}`,
      );
    }
  }
}
