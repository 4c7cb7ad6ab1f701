/**
 * Hands, and perhaps a head, that a camera or a headset follows: in a space of their own whose origin is the eye at the
 * beginning. The visitor's camera in the room says where that space is.
 */
import {
  cameraToWorld,
  type HandPose,
  type Hands,
  type Intrinsics,
  placement,
  SIDES,
  type TrajectoryFrame,
} from '@dwm/renderer';
import { matrices } from '@dwm/renderer/scene';
import { type CameraRig, cameraPose } from '../scene-editor/camera-rig.ts';
import {
  add,
  compose,
  lookRotation,
  type Quaternion,
  rotate,
  subtract,
  type Vec3,
} from '../scene-editor/vectors.ts';

export interface Tracked {
  /** [25, 7] joints in the tracker's space; `null` where a hand is not seen. */
  readonly hands: Hands;
  /** The head in the tracker's space, [4, 4] row by row; absent where only hands are followed. */
  readonly head?: Float64Array;
}

/** A frame of a motion as a tracker sees it, put where the visitor's camera is. */
export function trackedFrame(rig: CameraRig, tracked: Tracked, intrinsics: Intrinsics): TrajectoryFrame {
  // A head brings its own pitch along.
  const turn = lookRotation(rig.yaw, tracked.head ? 0 : rig.pitch);
  const camera = tracked.head
    ? cameraToWorld('opengl', matrices.multiply(matrices.compose(rig.position, turn), tracked.head))
    : cameraPose(rig);
  const [left, right] = SIDES.map((side) => moved(tracked.hands[side], rig.position, turn));
  return { seconds: 0, intrinsics, camera, hands: { left, right } };
}

function moved(hand: HandPose | null, origin: Vec3, turn: Quaternion): HandPose | null {
  if (!hand?.joints) return null;
  const joints = new Float64Array(hand.joints.length);
  for (let at = 0; at < joints.length; at += 7) {
    const [x, y, z, qx, qy, qz, qw] = hand.joints.subarray(at, at + 7);
    joints.set([...add(origin, rotate(turn, [x, y, z])), ...compose(turn, [qx, qy, qz, qw])], at);
  }
  return { joints };
}

/** A tracker's space in the tracker's own coordinates: where the eye began, turned to where it looked, level. */
export interface Start {
  readonly origin: Vec3;
  /** From the tracker's axes into the space's. */
  readonly turn: Quaternion;
}

/** @param head [4, 4] row by row, of the eye at the beginning. */
export function startOf(head: ArrayLike<number>): Start {
  const { position, rotation } = placement(cameraToWorld('opengl', head));
  const [x, , z] = rotate(rotation, [0, 0, -1]);
  return { origin: position, turn: lookRotation(-Math.atan2(-x, -z), 0) };
}

/** A place and a rotation of the tracker's, in the space that begins at `start`. */
export const fromStart = ({ origin, turn }: Start, position: Vec3, rotation: Quaternion) => ({
  position: rotate(turn, subtract(position, origin)),
  rotation: compose(turn, rotation),
});
