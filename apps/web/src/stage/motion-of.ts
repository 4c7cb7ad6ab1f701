/** A drag as a motion: what the hand and the eye did while the hand was held, fitted to a run's length. */
import type { Trajectory } from '@dwm/renderer';
import { cameraPose } from '../scene-editor/camera-rig.ts';
import type { Rigs } from '../scene-editor/controls.ts';
import { fittedTo, guidedMotion, progress } from '../scene-editor/guide.ts';
import { frameOf } from '../scene-editor/recorder.ts';

export interface Drag {
  /** At the run's rate. */
  readonly samples: readonly Rigs[];
  /** The eye is where the room's own motion has it. */
  readonly ownCamera: boolean;
}

/** @param roomMotion the room's own motion: its lens, rate and length, and, of a hand that holds on, its approach. */
export function motionOf({ samples, ownCamera }: Drag, roomMotion: Trajectory): Trajectory {
  // A hand that let go on the way moves freely from the beginning.
  const guide = samples.at(-1)!.hand.guide;
  const { frames, fps } = roomMotion;
  const taken = fittedTo(samples, frames.length);
  if (!guide)
    return { fps, frames: taken.map((rigs, i) => frameOf(rigs, frames[i].intrinsics, frames[i].seconds)) };
  const motion = guidedMotion(
    guide,
    roomMotion,
    samples.map(({ hand }) => hand.position),
  );
  if (ownCamera) return motion;
  return {
    fps,
    frames: motion.frames.map((frame, i) => ({ ...frame, camera: cameraPose(taken[i].camera) })),
  };
}

/** Shares of the way, and metres off it, within which a drag does what the room's caption says. */
const ENOUGH = 0.4;
const NEAR = 0.1;

/** Whether a drag does what the room's own motion does, so that the room's words are right for it. */
export function doesAsSaid({ samples }: Drag): boolean {
  const { guide, position } = samples.at(-1)!.hand;
  if (!guide) return false;
  const { along, off } = progress(guide, position);
  return along > ENOUGH && off < NEAR + 0.3 * Math.max(0, along - 1);
}

/** Metres below which a hand that neither turned nor grasped has not moved. */
const STILL = 0.01;

export function hasMoved({ samples }: Drag): boolean {
  const [first] = samples;
  return samples.some(({ hand }) => {
    const apart = hand.position.map((value, i) => value - first.hand.position[i]);
    const turned = hand.rotation.some((q, i) => q !== first.hand.rotation[i]);
    return Math.hypot(...apart) > STILL || turned || hand.grasp !== first.hand.grasp;
  });
}
