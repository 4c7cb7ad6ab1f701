/** How a clip ends, to be compared with how a model says it ends. */
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

/**
 * The picture of a clip's end, with hands and arms.
 * @param moving things as they are in another clip of the room, in place of the clip's own.
 */
export const drawEnd = async (passes: PassRenderer, clip: SimulatedClip, moving = clip.moving) =>
  (await passes.render(endOf(clip, moving))).interaction;
