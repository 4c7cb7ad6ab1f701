/** How a clip ends, to be compared with how a model says it ends. */
import type { Trajectory } from '@dwm/renderer';
import type { PassRenderer } from '../passes/index.ts';
import type { SimulatedClip } from '../types.ts';

/** Some frames of a clip. */
export function framesOf(clip: SimulatedClip, pick: <T>(list: readonly T[]) => readonly T[]): SimulatedClip {
  const path = (of: Trajectory): Trajectory => ({ ...of, frames: pick(of.frames) });
  const forearms = Object.entries(clip.forearms).map(([side, arm]) => [
    side,
    { ...arm, elbows: pick(arm.elbows), shoulders: pick(arm.shoulders) },
  ]);
  return {
    ...clip,
    moving: clip.moving.map((part) => ({
      ...part,
      worlds: pick(part.worlds),
      ...(part.opening && { opening: pick(part.opening) }),
    })),
    ...{ trajectory: path(clip.trajectory), acting: path(clip.acting) },
    forearms: Object.fromEntries(forearms),
  };
}

/** A clip's last frame as a clip, with things as they are at the end, or as another clip of the room leaves them. */
export const endOf = (clip: SimulatedClip, moving = clip.moving): SimulatedClip =>
  framesOf({ ...clip, moving, trajectory: clip.acting }, (list) => list.slice(-1));

/** The first frames of a clip. */
export const until = (clip: SimulatedClip, frames: number): SimulatedClip =>
  framesOf(clip, (list) => list.slice(0, frames));

/** A clip whose hands are not there. */
export const withoutHands = (clip: SimulatedClip): SimulatedClip => ({
  ...clip,
  ...{ acting: noHands(clip.acting), trajectory: noHands(clip.trajectory), forearms: {} },
});

const noHands = (path: Trajectory): Trajectory => ({
  ...path,
  frames: path.frames.map((frame) => ({ ...frame, hands: { left: null, right: null } })),
});

/**
 * The picture of a clip's end, with hands and arms.
 * @param moving things as they are in another clip of the room, in place of the clip's own.
 */
export const drawEnd = async (passes: PassRenderer, clip: SimulatedClip, moving = clip.moving) =>
  (await passes.render(endOf(clip, moving))).interaction;
