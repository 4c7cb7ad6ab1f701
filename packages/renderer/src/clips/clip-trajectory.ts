/** The frames of a clip, cut out of a trajectory of any rate, length and picture size. */
import { resample } from '../trajectory/resample.ts';
import type { Trajectory } from '../trajectory/types.ts';
import { type CameraFit, fitCamera } from './fit-camera.ts';

/** Size and rate of a clip: frames, frames a second, pixels. */
export interface ClipSettings {
  readonly frames: number;
  readonly fps: number;
  readonly width: number;
  readonly height: number;
  readonly fit?: CameraFit;
}

/**
 * `frames` frames from the trajectory's first one on. Frames that are at this rate already are taken as they are.
 * @throws InvalidArgumentError where the trajectory is too short, saying for how many frames it lasts.
 */
export function clipTrajectory(trajectory: Trajectory, settings: ClipSettings): Trajectory {
  const { frames, fps, width, height, fit } = settings;
  const first = trajectory.frames.slice(0, frames);
  const start = first[0].seconds;
  const ready =
    first.length === frames && first.every(({ seconds }, i) => Math.abs(seconds - start - i / fps) < 1e-6);
  const clip = ready ? first : resample(trajectory, fps, frames).frames;
  return {
    fps,
    frames: clip.map((frame, i) => ({
      ...frame,
      seconds: i / fps,
      intrinsics: fitCamera(frame.intrinsics, width, height, fit),
    })),
  };
}
