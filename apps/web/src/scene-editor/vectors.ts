/** The few rotations that moving about needs. Up is +y, a camera looks along -z. */
import { type Quaternion, rotations, type Vec3 } from '@dwm/renderer';

export const { add, subtract, scale, rotate, compose, dot, length, vec3At } = rotations;

export const turn = (axis: Vec3, angle: number): Quaternion => rotations.fromAxisAngle(scale(axis, angle));

/** Looking left by `yaw` and up by `pitch`, radians. */
export const lookRotation = (yaw: number, pitch: number): Quaternion =>
  compose(turn([0, 1, 0], yaw), turn([1, 0, 0], pitch));

export const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

export type { Quaternion, Vec3 };
