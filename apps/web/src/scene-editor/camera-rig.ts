/** The visitor's camera: a place and two angles. It walks on the floor's plane and orbits about a point before it. */
import { type Intrinsics, type Pose, placedCamera, placement } from '@dwm/renderer';
import { add, clamp, lookRotation, rotate, scale, subtract, type Vec3 } from './vectors.ts';

export interface CameraRig {
  readonly position: Vec3;
  /** Radians to the left, and up. */
  readonly yaw: number;
  readonly pitch: number;
}

const STEEPEST = 1.5;

export const cameraPose = ({ position, yaw, pitch }: CameraRig): Pose<'opengl'> =>
  placedCamera('opengl', position, lookRotation(yaw, pitch));

/** The rig of a pose; its roll is left out. */
export function rigOf(pose: Pose<'opengl'>): CameraRig {
  const { position, rotation } = placement(pose);
  const [x, y, z] = rotate(rotation, [0, 0, -1]);
  return { position, yaw: Math.atan2(-x, -z), pitch: Math.asin(clamp(y, -1, 1)) };
}

const forward = ({ yaw, pitch }: CameraRig): Vec3 => rotate(lookRotation(yaw, pitch), [0, 0, -1]);

/** @param step metres to the right, up and ahead, level with the floor. */
export function walked(rig: CameraRig, [right, up, ahead]: Vec3): CameraRig {
  const level = lookRotation(rig.yaw, 0);
  return { ...rig, position: add(rig.position, rotate(level, [right, up, -ahead])) };
}

/** Turns about the point `distance` metres before the camera. */
export function orbited(rig: CameraRig, yaw: number, pitch: number, distance: number): CameraRig {
  const centre = add(rig.position, scale(forward(rig), distance));
  const turned = { ...rig, yaw: rig.yaw + yaw, pitch: clamp(rig.pitch + pitch, -STEEPEST, STEEPEST) };
  return { ...turned, position: subtract(centre, scale(forward(turned), distance)) };
}

/** The ray of a pixel, in world axes, one metre deep. */
export function rayOf(rig: CameraRig, { fx, fy, cx, cy }: Intrinsics, x: number, y: number): Vec3 {
  return rotate(lookRotation(rig.yaw, rig.pitch), [(x - cx) / fx, -(y - cy) / fy, -1]);
}

/** Pixel and depth (metres along the axis) of a point; depth is not positive behind the camera. */
export function projected(rig: CameraRig, { fx, fy, cx, cy }: Intrinsics, point: Vec3) {
  const [qx, qy, qz, qw] = lookRotation(rig.yaw, rig.pitch);
  const [x, y, z] = rotate([-qx, -qy, -qz, qw], subtract(point, rig.position));
  return { x: cx + (fx * x) / -z, y: cy - (fy * y) / -z, depth: -z };
}
