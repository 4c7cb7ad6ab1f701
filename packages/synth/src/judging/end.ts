/** How a clip ends, to be compared with how a model says it ends. */
import type { Trajectory } from '@dwm/renderer';
import type { PassRenderer } from '../passes/index.ts';
import type { SimulatedClip } from '../types.ts';

/** A clip's last frame as a clip, with things as they are at the end, or as another clip of the room leaves them. */
export function endOf(clip: SimulatedClip, moving = clip.moving): SimulatedClip {
  const last = <T>(list: readonly T[]) => list.slice(-1);
  const alone = (path: SimulatedClip['acting']) => ({ ...path, frames: last(path.frames) });
  const forearms = Object.entries(clip.forearms).map(([side, arm]) => [
    side,
    { ...arm, elbows: last(arm.elbows), shoulders: last(arm.shoulders) },
  ]);
  return {
    ...clip,
    moving: moving.map((part) => ({ ...part, worlds: last(part.worlds) })),
    trajectory: alone(clip.acting),
    acting: alone(clip.acting),
    forearms: Object.fromEntries(forearms),
  };
}

/** The first frames of a clip. */
export function until(clip: SimulatedClip, frames: number): SimulatedClip {
  const begin = <T>(list: readonly T[]) => list.slice(0, frames);
  const forearms = Object.entries(clip.forearms).map(([side, arm]) => [
    side,
    { ...arm, elbows: begin(arm.elbows), shoulders: begin(arm.shoulders) },
  ]);
  return {
    ...clip,
    moving: clip.moving.map((part) => ({
      ...part,
      worlds: begin(part.worlds),
      ...(part.opening && { opening: begin(part.opening) }),
    })),
    trajectory: { ...clip.trajectory, frames: begin(clip.trajectory.frames) },
    acting: { ...clip.acting, frames: begin(clip.acting.frames) },
    forearms: Object.fromEntries(forearms),
  };
}

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
