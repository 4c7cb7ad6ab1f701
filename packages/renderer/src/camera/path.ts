/**
 * A moving rigid body: positions and rotations at increasing times, and what lies between them. Positions are
 * interpolated linearly and rotations on the shorter arc, which invents nothing that the samples do not say;
 * smooth curves through few keys are in spline.ts.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { lerp, type Quaternion, slerp, type Vec3 } from './rotation.ts';

/** Where a body is at a time. */
export interface TimedPose {
  readonly seconds: number;
  /** Metres. */
  readonly position: Vec3;
  readonly rotation: Quaternion;
}

/** Longest series of frames that is made in one go; far above any clip, far below what fills a machine. */
const MAX_FRAMES = 1_000_000;

/** The samples around `seconds`, and how far between them it lies (0..1). Times beyond the ends are clamped. */
export function bracket(times: ArrayLike<number>, seconds: number): { from: number; to: number; at: number } {
  let low = 0;
  let high = times.length - 1;
  if (!(seconds > times[low])) return { from: low, to: low, at: 0 };
  if (seconds >= times[high]) return { from: high, to: high, at: 0 };
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= seconds) low = middle;
    else high = middle;
  }
  return { from: low, to: high, at: (seconds - times[low]) / (times[high] - times[low]) };
}

/** The pose at each time: position linear, rotation on the shorter arc, the end poses outside. */
export function samplePath(path: readonly TimedPose[], times: readonly number[]): TimedPose[] {
  const seconds = path.map((pose) => pose.seconds);
  return times.map((time) => {
    const { from, to, at } = bracket(seconds, time);
    return {
      seconds: time,
      position: lerp(path[from].position, path[to].position, at),
      rotation: slerp(path[from].rotation, path[to].rotation, at),
    };
  });
}

/** How many frames at `fps` lie between the times `first` and `last`, both included. */
export const framesBetween = (first: number, last: number, fps: number): number =>
  // A millionth of a frame of slack: (last - first) * fps is rarely whole in floating point.
  Math.floor((last - first) * fps + 1e-6) + 1;

/**
 * The times first, first + 1/fps, ... that do not pass `last`, or exactly `frames` of them.
 * @throws InvalidArgumentError where `frames` reach beyond `last`, or fps is not a positive number.
 */
export function frameTimes(first: number, last: number, fps: number, frames?: number): number[] {
  if (!(fps > 0 && Number.isFinite(fps)))
    throw new InvalidArgumentError('fps', `${fps}, expected a positive number of frames a second`);
  if (frames !== undefined && !(Number.isInteger(frames) && frames > 0))
    throw new InvalidArgumentError('frames', `${frames}, expected a positive whole number`);
  const available = framesBetween(first, last, fps);
  const count = frames ?? available;
  if (count > available)
    throw new InvalidArgumentError(
      'frames',
      `${count} frames at ${fps} a second last ${((count - 1) / fps).toFixed(2)} s, the trajectory lasts ${(last - first).toFixed(2)} s; use at most ${available} frames or a higher fps`,
    );
  if (count > MAX_FRAMES)
    throw new InvalidArgumentError('fps', `gives ${count} frames, expected at most ${MAX_FRAMES}`);
  return Array.from({ length: count }, (_, k) => first + k / fps);
}
