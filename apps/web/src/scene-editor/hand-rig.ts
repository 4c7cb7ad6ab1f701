/** The hand that the visitor moves: a wrist in the room, a posture, and how far it is closed. */
import type { HandPose, HandSide, Intrinsics } from '@dwm/renderer';
import { angles, poseSkeleton } from '@dwm/synth';
import { type CameraRig, projected, rayOf } from './camera-rig.ts';
import {
  add,
  compose,
  lookRotation,
  type Quaternion,
  rotate,
  scale,
  subtract,
  turn,
  type Vec3,
} from './vectors.ts';

const MIDDLE_TIP = 14;

export const POSTURES = ['wrap', 'hook', 'pinch', 'flat', 'point'] as const;
export type Posture = (typeof POSTURES)[number];

export interface HandRig {
  readonly side: HandSide;
  readonly position: Vec3;
  readonly rotation: Quaternion;
  readonly posture: Posture;
  /** 0 open, 1 closed. */
  readonly grasp: number;
}

export function handPose({ side, position, rotation, posture, grasp }: HandRig): HandPose {
  const closure = [grasp, grasp, grasp, grasp, grasp] as const;
  return poseSkeleton({ side, size: 1 }, { position, rotation }, angles(posture, closure));
}

/** Before the camera, fingers ahead, the palm turned a little inwards. */
export function handBefore(camera: CameraRig, side: HandSide, distance = 0.5): HandRig {
  const ahead = lookRotation(camera.yaw, camera.pitch);
  const inwards = side === 'right' ? 1 : -1;
  const offset: Vec3 = [0.08 * inwards, -0.12, -distance];
  return {
    side,
    position: add(camera.position, rotate(ahead, offset)),
    rotation: compose(ahead, compose(turn([1, 0, 0], 0.25), turn([0, 0, 1], 0.5 * inwards))),
    posture: 'wrap',
    grasp: 0,
  };
}

/** Whether wrist or fingertips are in the picture. */
export function isSeen(hand: HandRig, camera: CameraRig, intrinsics: Intrinsics): boolean {
  const tip = handPose(hand).joints!.subarray(7 * MIDDLE_TIP, 7 * MIDDLE_TIP + 3);
  return [hand.position, [tip[0], tip[1], tip[2]] as const].some((point) => {
    const { x, y, depth } = projected(camera, intrinsics, point);
    return depth > 0 && x >= 0 && y >= 0 && x <= intrinsics.width && y <= intrinsics.height;
  });
}

/** Back before the camera, closed as far as it is. */
export const calledBack = (hand: HandRig, camera: CameraRig): HandRig => ({
  ...handBefore(camera, hand.side),
  posture: hand.posture,
  grasp: hand.grasp,
});

/** Moves in the plane through the hand that faces the camera, by pixels. */
export function draggedInPlane(
  hand: HandRig,
  camera: CameraRig,
  intrinsics: Intrinsics,
  dx: number,
  dy: number,
): HandRig {
  const { x, y, depth } = projected(camera, intrinsics, hand.position);
  if (!(depth > 0)) return hand;
  const moved = subtract(rayOf(camera, intrinsics, x + dx, y + dy), rayOf(camera, intrinsics, x, y));
  return { ...hand, position: add(hand.position, scale(moved, depth)) };
}

/** Moves along the ray from the eye through the hand, metres; it stays before the eye. */
export function draggedAlongRay(hand: HandRig, camera: CameraRig, metres: number): HandRig {
  const ray = subtract(hand.position, camera.position);
  const distance = Math.hypot(...ray);
  const next = Math.max(0.15, distance + metres);
  return { ...hand, position: add(camera.position, scale(ray, next / distance)) };
}

/** Turns the wrist: `roll` about the forearm, `bend` up and down, `swing` sideways, radians, in its own axes. */
export function turned(hand: HandRig, roll: number, bend: number, swing: number): HandRig {
  const change = compose(turn([0, 0, 1], roll), compose(turn([1, 0, 0], bend), turn([0, 1, 0], swing)));
  return { ...hand, rotation: compose(hand.rotation, change) };
}
