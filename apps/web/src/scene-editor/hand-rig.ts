/** The hand that the visitor moves: a wrist in the room, a posture, and how far it is closed. */
import { type HandPose, type HandSide, type Intrinsics, rotations } from '@dwm/renderer';
import { angles, poseSkeleton } from '@dwm/synth';
import { type CameraRig, projected, rayOf } from './camera-rig.ts';
import { type Guide, handAt, startOf, towards } from './guide.ts';
import {
  add,
  compose,
  dot,
  length,
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
  /** Of a hand that holds the room's thing: it says posture, grasp and rotation. */
  readonly guide?: Guide;
}

/** The hand where it has hold of the room's thing. */
export const handHolding = (guide: Guide): HandRig => ({
  guide,
  side: guide.side,
  position: startOf(guide),
  rotation: [0, 0, 0, 1],
  posture: 'wrap',
  grasp: 1,
});

export function handPose({ side, position, rotation, posture, grasp, guide }: HandRig): HandPose {
  if (guide) return handAt(guide, position);
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

/** Back to what it held, where that is in view, else before the camera, closed as far as it is. */
export function calledBack(hand: HandRig, camera: CameraRig, intrinsics: Intrinsics): HandRig {
  const { guide, side, posture, grasp } = hand;
  const holding = guide && handHolding(guide);
  if (holding && isSeen(holding, camera, intrinsics)) return holding;
  return { ...handBefore(camera, side), posture, grasp };
}

/** Of the view ray, the share across a thing's way below which the way is seen end on. */
const LEAST_ACROSS = 0.2;
/** Times the distance that the plane facing the eye would give. */
const MOST_STEEP = 3;

/** Normal of the plane that a held thing's hand is dragged in: it has the thing's way in it, and faces the eye else. */
function planeOf(guide: Guide, ray: Vec3): Vec3 | undefined {
  const way = rotations.direction(towards(guide));
  if (!way) return undefined;
  const across = subtract(ray, scale(way, dot(ray, way)));
  return length(across) > LEAST_ACROSS * length(ray) ? across : undefined;
}

/** Moves by pixels: in the plane through the hand that faces the camera, or in which what it holds can go. */
export function draggedInPlane(
  hand: HandRig,
  camera: CameraRig,
  intrinsics: Intrinsics,
  dx: number,
  dy: number,
): HandRig {
  const { x, y, depth } = projected(camera, intrinsics, hand.position);
  if (!(depth > 0)) return hand;
  const [from, to] = [rayOf(camera, intrinsics, x, y), rayOf(camera, intrinsics, x + dx, y + dy)];
  const level = scale(subtract(to, from), depth);
  const normal = hand.guide && planeOf(hand.guide, from);
  if (!normal) return { ...hand, position: add(hand.position, level) };
  const moved = subtract(scale(to, (depth * dot(normal, from)) / dot(normal, to)), scale(from, depth));
  // Towards the plane's horizon a pixel is metres, and beyond it is behind the eye.
  const most = MOST_STEEP * length(level);
  if (!(dot(moved, level) > 0)) return hand;
  return { ...hand, position: add(hand.position, scale(moved, Math.min(1, most / length(moved)))) };
}

/** Moves along the ray from the eye through the hand, metres; it stays before the eye. */
export function draggedAlongRay(hand: HandRig, camera: CameraRig, metres: number): HandRig {
  const ray = subtract(hand.position, camera.position);
  const distance = Math.hypot(...ray);
  const next = Math.max(0.15, distance + metres);
  return { ...hand, position: add(camera.position, scale(ray, next / distance)) };
}

/** Lets go of what the hand holds; the wrist stays where it is. */
export function freed(hand: HandRig): HandRig {
  const { guide, side, position: held, posture, grasp } = hand;
  if (!guide) return hand;
  const [x, y, z, ...rotation] = handAt(guide, held).joints!.subarray(0, 7);
  return { side, position: [x, y, z], rotation: rotation as unknown as Quaternion, posture, grasp };
}

/**
 * Turns the wrist: `roll` about the forearm, `bend` up and down, `swing` sideways, radians, in its own axes. What the
 * hand holds would not turn with it, so it lets go.
 */
export function turned(hand: HandRig, roll: number, bend: number, swing: number): HandRig {
  const change = compose(turn([0, 0, 1], roll), compose(turn([1, 0, 0], bend), turn([0, 1, 0], swing)));
  const free = freed(hand);
  return { ...free, rotation: compose(free.rotation, change) };
}

/** Opens a closed hand, which lets go of what it holds, or closes an open one. */
export function grasped(hand: HandRig): HandRig {
  const free = freed(hand);
  return { ...free, grasp: free.grasp < 0.5 ? 1 : 0 };
}
