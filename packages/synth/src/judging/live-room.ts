/** A long clip of a room with a drawer or a door: what a model that runs live is asked. */
import { ownAction, simulateEpisode } from '../episode.ts';
import { OPENED } from '../fault.ts';
import { planAction } from '../motion/plan-action.ts';
import type { Random } from '../random.ts';
import type { Action, SimulatedClip } from '../types.ts';
import { makeWorld } from '../world/make-world.ts';
import type { World } from '../world/world.ts';
import { until } from './end.ts';
import { type ClipSize, openedShare, type Unusable } from './rooms.ts';

/** What hands do in a live room, one after the other, each for as long. */
export const LIVE_ACTS = ['touch nothing', 'open it', 'leave it open', 'shut it'] as const;

/** A live room's clip, and the words for opening its thing. */
export interface LiveRoom {
  readonly clip: SimulatedClip;
  /** The clip up to the end of each act. */
  readonly acts: readonly SimulatedClip[];
  /** The words for opening the thing. */
  readonly opening: string;
}

const idle = (_: World, random: Random): Action => random.pick(['touch-nothing', 'wander']);

/** A shut drawer (even seeds) or door (odd) that is opened and shut again, before a camera that stands. */
export async function liveRoom(seed: number, size: ClipSize): Promise<LiveRoom | Unusable> {
  const world = await makeWorld(seed, seed % 2 === 0 ? 'pull-drawer' : 'open-door');
  const settings = { ...size, fixedCamera: true };
  const clip = await simulateEpisode(world, settings, [idle, ownAction, idle, ownAction]);
  if ('rejected' in clip) return clip;
  const acts = LIVE_ACTS.map((_, k) => until(clip, Math.round(((k + 1) * size.frames) / LIVE_ACTS.length)));
  for (const [k, { moving }] of acts.entries()) {
    const isOpen = openedShare(world, moving, world.actor) > OPENED;
    if (isOpen !== (k === 1 || k === 2)) return { rejected: `${LIVE_ACTS[k]}: does not` };
  }
  return { clip, acts, opening: planAction(world, settings).caption };
}
