/**
 * A hand's skeleton by forward kinematics: 25 joints in WebXR's order and axes (-z along the bone, +y dorsal) from a wrist
 * pose and finger angles. Bone lengths are those of an adult's hand of 0.19 m; a left hand is the right one with x
 * negated.
 */
import { type HandSide, type Quaternion, rotations, type Vec3 } from '@dwm/renderer';
import type { Placement } from '../world/solid.ts';

const { add, compose, cross, direction, fromAxisAngle, fromFrame, rotate, scale, dot, subtract, slerp } =
  rotations;

/** Flexion in radians, towards the palm. */
export interface FingerAngles {
  readonly knuckle: number;
  readonly middle: number;
  readonly end: number;
}

/** Angles of a hand's joints, radians. */
export interface HandAngles {
  /** `opposition`: 0 beside the palm, 1 under it, below 0 stretched away. */
  readonly thumb: { readonly opposition: number; readonly middle: number; readonly end: number };
  /** Index, middle, ring, little finger. */
  readonly fingers: readonly FingerAngles[];
}

/** Which hand, and how large. */
export interface HandModel {
  readonly side: HandSide;
  /** Factor of all lengths. */
  readonly size: number;
}

/** The right hand's fingers from the wrist: metacarpal's base, knuckle, lengths of three bones, fanning about +y. */
const FINGERS: readonly {
  base: Vec3;
  knuckle: Vec3;
  bones: readonly [number, number, number];
  fan: number;
  radii: readonly number[];
}[] = [
  {
    base: [-0.012, -0.004, -0.03],
    knuckle: [-0.025, -0.003, -0.09],
    bones: [0.045, 0.025, 0.019],
    fan: 0.04,
    radii: [0.02, 0.0115, 0.0095, 0.0085, 0.0075],
  },
  {
    base: [-0.003, -0.003, -0.03],
    knuckle: [-0.002, 0, -0.093],
    bones: [0.048, 0.029, 0.02],
    fan: -0.03,
    radii: [0.02, 0.0115, 0.0095, 0.0085, 0.0075],
  },
  {
    base: [0.008, -0.004, -0.028],
    knuckle: [0.018, -0.003, -0.086],
    bones: [0.044, 0.027, 0.019],
    fan: -0.12,
    radii: [0.019, 0.011, 0.009, 0.008, 0.007],
  },
  {
    base: [0.019, -0.007, -0.031],
    knuckle: [0.035, -0.009, -0.077],
    bones: [0.034, 0.021, 0.018],
    fan: -0.22,
    radii: [0.018, 0.01, 0.008, 0.007, 0.0065],
  },
];
const THUMB = {
  base: [-0.026, -0.016, -0.034] as Vec3,
  bones: [0.034, 0.034, 0.025],
  radii: [0.019, 0.013, 0.011, 0.009],
};
const WRIST_RADIUS = 0.022;

/** -z along `bone`, +y as near to `up` as it goes. */
export function boneFrame(bone: Vec3, up: Vec3): Quaternion {
  const z = scale(direction(bone)!, -1);
  const y = direction(subtract(up, scale(z, dot(up, z))))!;
  return fromFrame(cross(y, z), y, z);
}

/** Beside the palm, and under it facing the fingertips. */
const THUMB_REST = boneFrame([-0.62, -0.25, -0.74], [-0.75, 0.4, 0.5]);
const THUMB_OPPOSED = boneFrame([-0.16, -0.72, -0.67], [-0.55, -0.5, 0.66]);

const bend = (angle: number): Quaternion => fromAxisAngle([-angle, 0, 0]);
const ALONG: Vec3 = [0, 0, -1];

interface PosedSkeleton {
  /** [25, 7]: x y z qx qy qz qw, world. */
  readonly joints: Float64Array;
  /** [25], metres. */
  readonly radii: Float64Array;
}

/** Joints of a hand with these angles, in WebXR's order. */
export function poseSkeleton({ side, size }: HandModel, wrist: Placement, angles: HandAngles): PosedSkeleton {
  const joints = new Float64Array(25 * 7);
  const radii = new Float64Array(25);
  let next = 0;
  const put = (position: Vec3, rotation: Quaternion, radius: number) => {
    const [x, y, z] = scale(position, size);
    const mirror = side === 'left' ? -1 : 1;
    const place = add(wrist.position, rotate(wrist.rotation, [mirror * x, y, z]));
    const [qx, qy, qz, qw] = rotation;
    joints.set([...place, ...compose(wrist.rotation, [qx, mirror * qy, mirror * qz, qw])], 7 * next);
    radii[next++] = radius * size;
  };
  const chain = (
    from: Vec3,
    first: Quaternion,
    bones: readonly number[],
    bends: readonly number[],
    widths: readonly number[],
  ) => {
    let [position, rotation] = [from, first];
    bones.forEach((length, i) => {
      rotation = compose(rotation, bend(bends[i]));
      put(position, rotation, widths[i]);
      position = add(position, scale(rotate(rotation, ALONG), length));
    });
    put(position, rotation, widths[bones.length]);
  };

  put([0, 0, 0], [0, 0, 0, 1], WRIST_RADIUS);
  const { opposition, middle, end } = angles.thumb;
  chain(THUMB.base, slerp(THUMB_REST, THUMB_OPPOSED, opposition), THUMB.bones, [0, middle, end], THUMB.radii);
  FINGERS.forEach(({ base, knuckle, bones, fan, radii: widths }, i) => {
    const { knuckle: flexion, middle: second, end: third } = angles.fingers[i];
    put(base, boneFrame(subtract(knuckle, base), [0, 1, 0]), widths[0]);
    // A fist brings the fingers together.
    const spread = fromAxisAngle([0, fan * Math.max(0, 1 - flexion), 0]);
    chain(knuckle, spread, bones, [flexion, second, third], widths.slice(1));
  });
  return { joints, radii };
}

/** Pairs of joints with a bone between them: fingers, thumb, palm. */
export const BONES: readonly (readonly [number, number])[] = [
  [1, 2],
  [2, 3],
  [3, 4],
  ...[5, 10, 15, 20].flatMap((base) => [
    [0, base + 1] as const,
    [base + 1, base + 2] as const,
    [base + 2, base + 3] as const,
    [base + 3, base + 4] as const,
  ]),
];

/** Joints from the knuckle (the thumb's: from its second bone) to the tip: thumb, index, middle, ring, little finger. */
export const FINGER_JOINTS: readonly (readonly number[])[] = [
  [2, 3, 4],
  [6, 7, 8, 9],
  [11, 12, 13, 14],
  [16, 17, 18, 19],
  [21, 22, 23, 24],
];

export const jointAt = (joints: ArrayLike<number>, joint: number): Vec3 =>
  rotations.vec3At(joints, 7 * joint);

/** Position and rotation of the wrist. */
export function wristOf(joints: ArrayLike<number>): Placement {
  return { position: jointAt(joints, 0), rotation: [joints[3], joints[4], joints[5], joints[6]] };
}
