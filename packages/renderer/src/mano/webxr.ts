/**
 * A posed MANO hand as WebXR's 25 joints. MANO has no metacarpals and no tips: metacarpals ride on the wrist a third of
 * the way to the knuckle (as on a real hand), tips on the distal joints at MANO's tip vertices. Axes are WebXR's: -z along
 * the bone, +y dorsal; for the thumb "dorsal" is the side of the nail, which faces outwards from the palm.
 */
import {
  compose,
  cross,
  direction,
  dot,
  fromFrame,
  fromMatrix3,
  IDENTITY_ROTATION,
  lerp,
  type Quaternion,
  scale,
  subtract,
  type Vec3,
  vec3At,
} from '../camera/rotation.ts';
import type { HandSide, PosedMano } from './pose.ts';

/** WebXR Hand Input's joints in order: wrist, thumb (4), then index, middle, ring, pinky (5 each). */
export const WEBXR_JOINTS = [
  'wrist',
  'thumb-metacarpal',
  'thumb-phalanx-proximal',
  'thumb-phalanx-distal',
  'thumb-tip',
  ...['index', 'middle', 'ring', 'pinky'].flatMap((finger) =>
    ['metacarpal', 'phalanx-proximal', 'phalanx-intermediate', 'phalanx-distal', 'tip'].map(
      (part) => `${finger}-finger-${part}`,
    ),
  ),
] as const;

/** MANO's first joint of each finger, in WebXR's order: index, middle, ring, pinky. */
const FINGER_ROOTS = [1, 4, 10, 7];
const THUMB_ROOT = 13;

/** From wrist to knuckle; 0.32 to 0.5 on the default hand. */
const METACARPAL_START = 1 / 3;

/**
 * Joints of a posed hand [25, 7]: x y z (metres, world) and qx qy qz qw.
 * @param side the side that `hand` was posed for.
 */
export function manoToWebxr(hand: PosedMano, side: HandSide): Float64Array {
  const { transforms, restJoints } = hand.skinning;
  const rest = (joint: number) => vec3At(restJoints, 3 * joint);
  const wrist = rest(0);
  const towards = (from: Vec3, to: Vec3, fallback: Vec3) => direction(subtract(to, from)) ?? fallback;
  const forward = towards(wrist, rest(FINGER_ROOTS[1]), [-1, 0, 0]);
  // The right palm's normal, away from the palm, and the way from the little finger to the index.
  const [index, , , pinky] = FINGER_ROOTS.map((joint) => subtract(rest(joint), wrist));
  const dorsal = direction(cross(pinky, index)) ?? [0, 1, 0];
  const radial = cross(dorsal, forward);

  const joints = new Float64Array(25 * 7);
  let next = 0;
  /** A joint that moves with MANO joint `carrier`; its place and bone are given in the rest pose. */
  const put = (carrier: number, place: Vec3, bone: Vec3, up: Vec3, world?: Vec3) => {
    const at = 16 * carrier;
    const position = world ?? transformPoint(transforms, at, place);
    const rotation = posedRotation(transforms, at, restFrame(bone, up), side);
    joints.set([...position, ...rotation], 7 * next++);
  };
  /** Three joints and a tip from MANO joint `root`, whose tip is keypoint `tip`. */
  const chain = (root: number, tip: number, up: Vec3) => {
    const tipWorld = vec3At(hand.keypoints, 3 * tip);
    let bone = forward;
    for (let joint = root; joint < root + 3; joint++) {
      // The tip has no rest place of its own: seen from the distal joint, it is where it is now.
      const end = joint < root + 2 ? rest(joint + 1) : untransformPoint(transforms, 16 * joint, tipWorld);
      bone = towards(rest(joint), end, bone);
      put(joint, rest(joint), bone, up);
    }
    put(root + 2, rest(root + 2), bone, up, tipWorld);
  };

  put(0, wrist, forward, dorsal);
  chain(THUMB_ROOT, 4, radial);
  FINGER_ROOTS.forEach((root, finger) => {
    const start = lerp(wrist, rest(root), METACARPAL_START);
    put(0, start, towards(start, rest(root), forward), dorsal);
    chain(root, 8 + 4 * finger, dorsal);
  });
  return joints;
}

/** The frame with -z along `bone` and +y as near to `up` as it goes. */
function restFrame(bone: Vec3, up: Vec3): Quaternion {
  const z = scale(bone, -1);
  const y = direction(subtract(up, scale(bone, dot(up, bone))));
  return y ? fromFrame(cross(y, z), y, z) : IDENTITY_ROTATION;
}

/**
 * The rest frame carried by a joint's transform. A mirrored frame is left-handed; turning its x round
 * makes it a rotation again and keeps bone and back where they are: S F diag(-1, 1, 1) with S = diag(-1, 1, 1).
 */
function posedRotation(m: Float64Array, at: number, frame: Quaternion, side: HandSide): Quaternion {
  const mirror = side === 'left' ? -1 : 1;
  const turn = fromMatrix3(
    [0, 4, 8].flatMap((row) => [0, 1, 2].map((k) => m[at + row + k] * (row ? 1 : mirror))),
  );
  const [x, y, z, w] = compose(turn, frame);
  // Conjugating a rotation by the mirror keeps x and w and flips y and z.
  return [x, mirror * y, mirror * z, w];
}

function transformPoint(m: Float64Array, at: number, p: Vec3): Vec3 {
  const row = (r: number) => dot(vec3At(m, at + 4 * r), p) + m[at + 4 * r + 3];
  return [row(0), row(1), row(2)];
}

/** The transform's linear part is orthogonal, so its transpose inverts it. */
function untransformPoint(m: Float64Array, at: number, p: Vec3): Vec3 {
  const q = [0, 1, 2].map((row) => p[row] - m[at + 4 * row + 3]);
  const column = (k: number) => m[at + k] * q[0] + m[at + 4 + k] * q[1] + m[at + 8 + k] * q[2];
  return [column(0), column(1), column(2)];
}
