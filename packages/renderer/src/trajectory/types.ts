/**
 * A trajectory: where the camera and the hands are in every frame. Everything that is recorded anywhere becomes this
 * before it is rendered. Metres, seconds, world space; the camera is camera-to-world in OpenGL axes.
 */
import type { Intrinsics } from '../camera/intrinsics.ts';
import type { Pose } from '../camera/pose.ts';
import type { HandSide, ManoParams } from '../mano/pose.ts';

/** One hand in one frame, by joints, MANO parameters, or both. */
export interface HandPose {
  /** [25, 7] in WebXR's order, world space: x y z qx qy qz qw. */
  readonly joints?: Float64Array;
  /** Radius of the finger around each joint [25], metres. */
  readonly radii?: Float64Array;
  readonly mano?: ManoParams;
}

/** `null` where a hand is not there. */
export type Hands = Readonly<Record<HandSide, HandPose | null>>;

/** A frame in which no hand is seen. */
export const NO_HANDS: Hands = { left: null, right: null };

/** Both sides, left first. */
export const SIDES = ['left', 'right'] as const;

/** One frame: when it is, its camera, its hands. */
export interface TrajectoryFrame {
  /** Since the first frame. */
  readonly seconds: number;
  readonly intrinsics: Intrinsics;
  readonly camera: Pose<'opengl'>;
  readonly hands: Hands;
}

/** Cameras and hands over time. */
export interface Trajectory {
  /** Frames a second; where the frames are not evenly spaced (a recording), the mean. */
  readonly fps: number;
  readonly frames: readonly TrajectoryFrame[];
}

/** What an importer is told about things its format does not hold. */
export interface ImportDefaults {
  /** Image size in pixels; 720x480 by default. */
  readonly width?: number;
  readonly height?: number;
  /** Frames a second of formats without times; 8 by default. */
  readonly fps?: number;
}

export const DEFAULT_WIDTH = 720;
export const DEFAULT_HEIGHT = 480;
export const DEFAULT_FPS = 8;

/** Mean frame rate of a recording; `fallback` for a single frame. */
export function meanFps(seconds: readonly number[], fallback = DEFAULT_FPS): number {
  const span = seconds.at(-1)! - seconds[0];
  return seconds.length > 1 && span > 0 ? (seconds.length - 1) / span : fallback;
}
