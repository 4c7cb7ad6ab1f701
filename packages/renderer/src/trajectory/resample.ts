/**
 * A trajectory at another frame rate. Positions, shapes and intrinsics are interpolated linearly, rotations on the shorter
 * arc. A hand is only interpolated between two frames that both have it; beside a gap the nearer frame decides
 * whether it is there, so a hand neither fades in nor appears where nobody saw it.
 */
import type { Intrinsics } from '../camera/intrinsics.ts';
import { bracket, frameTimes } from '../camera/path.ts';
import { placedCamera, placement } from '../camera/pose.ts';
import { fromAxisAngle, lerp, slerp, toAxisAngle, vec3At } from '../camera/rotation.ts';
import type { ManoParams } from '../mano/pose.ts';
import type { HandPose, Trajectory, TrajectoryFrame } from './types.ts';

/**
 * The trajectory at `fps` frames a second from its first frame on, up to its end or for `frames` frames.
 * @throws InvalidArgumentError where the trajectory is too short for `frames`.
 */
export function resample(trajectory: Trajectory, fps: number, frames?: number): Trajectory {
  const { seconds: first } = trajectory.frames[0];
  const { seconds: last } = trajectory.frames.at(-1)!;
  return sampleAt(trajectory, frameTimes(first, last, fps, frames), fps);
}

/**
 * The trajectory at the given times (seconds, on its own clock), as frames of a clip of `fps` frames a second. Times
 * beyond its ends give the end frames.
 */
export function sampleAt(trajectory: Trajectory, times: readonly number[], fps: number): Trajectory {
  const source = trajectory.frames;
  const seconds = source.map((frame) => frame.seconds);
  return {
    fps,
    frames: times.map((time, i) => {
      const { from, to, at } = bracket(seconds, time);
      return { ...between(source[from], source[to], at), seconds: i / fps };
    }),
  };
}

function between(a: TrajectoryFrame, b: TrajectoryFrame, at: number): Omit<TrajectoryFrame, 'seconds'> {
  const [start, end] = [placement(a.camera), placement(b.camera)];
  return {
    intrinsics: mixIntrinsics(a.intrinsics, b.intrinsics, at),
    camera: placedCamera(
      'opengl',
      lerp(start.position, end.position, at),
      slerp(start.rotation, end.rotation, at),
    ),
    hands: {
      left: mixHands(a.hands.left, b.hands.left, at),
      right: mixHands(a.hands.right, b.hands.right, at),
    },
  };
}

const mix = (a: number, b: number, at: number) => a + (b - a) * at;

/** Sizes belong to a frame and jump halfway; with them everything else that is in pixels. */
function mixIntrinsics(a: Intrinsics, b: Intrinsics, at: number): Intrinsics {
  if (a.width !== b.width || a.height !== b.height) return at < 0.5 ? a : b;
  const { width, height } = a;
  return {
    fx: mix(a.fx, b.fx, at),
    fy: mix(a.fy, b.fy, at),
    cx: mix(a.cx, b.cx, at),
    cy: mix(a.cy, b.cy, at),
    width,
    height,
  };
}

function mixHands(a: HandPose | null, b: HandPose | null, at: number): HandPose | null {
  const nearer = at < 0.5 ? a : b;
  if (!a || !b) return nearer;
  // A part that only one of the two frames has follows the nearer frame, like a hand.
  const joints = a.joints && b.joints ? mixJoints(a.joints, b.joints, at) : nearer?.joints;
  const radii = a.radii && b.radii ? mixNumbers(a.radii, b.radii, at) : nearer?.radii;
  const mano = a.mano && b.mano && a.mano.flat === b.mano.flat ? mixMano(a.mano, b.mano, at) : nearer?.mano;
  return { ...(joints && { joints }), ...(radii && { radii }), ...(mano && { mano }) };
}

const mixNumbers = (a: ArrayLike<number>, b: ArrayLike<number>, at: number) =>
  Float64Array.from(a, (value, i) => mix(value, b[i], at));

function mixJoints(a: Float64Array, b: Float64Array, at: number): Float64Array {
  const joints = new Float64Array(a.length);
  for (let i = 0; i < a.length; i += 7) {
    const [from, to] = [a, b].map((all) => [all[i + 3], all[i + 4], all[i + 5], all[i + 6]] as const);
    joints.set(lerp(vec3At(a, i), vec3At(b, i), at), i);
    joints.set(slerp(from, to, at), i + 3);
  }
  return joints;
}

function mixMano(a: ManoParams, b: ManoParams, at: number): ManoParams {
  return {
    orient: mixAxisAngles(a.orient, b.orient, at),
    // Without the mean the numbers are offsets from it and no rotations of their own.
    pose: a.flat ? mixAxisAngles(a.pose, b.pose, at) : mixNumbers(a.pose, b.pose, at),
    betas: mixNumbers(a.betas, b.betas, at),
    transl: mixNumbers(a.transl, b.transl, at),
    flat: a.flat,
  };
}

function mixAxisAngles(a: ArrayLike<number>, b: ArrayLike<number>, at: number): Float64Array {
  const mixed = new Float64Array(a.length);
  for (let i = 0; i < a.length; i += 3)
    mixed.set(toAxisAngle(slerp(fromAxisAngle(vec3At(a, i)), fromAxisAngle(vec3At(b, i)), at)), i);
  return mixed;
}
