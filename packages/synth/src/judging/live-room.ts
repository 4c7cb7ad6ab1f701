/** A long clip of a room with a drawer or a door: what a model that runs live is asked. */
import { type ChooseAct, evenStarts, ownAction, simulateEpisode } from '../episode.ts';
import { OPENED } from '../fault.ts';
import { makeMotion } from '../motion/make-motion.ts';
import type { SimulatedClip } from '../types.ts';
import { makeWorld } from '../world/make-world.ts';
import { until } from './end.ts';
import { type ClipSize, openedShare, type Unusable } from './rooms.ts';

const idle: ChooseAct = (_, random) => random.pick(['touch-nothing', 'wander']);

/** What hands do in a live room, one after the other, each for as long; and whether its thing is open then. */
export const LIVE_ACTS = [
  { name: 'touch nothing', choose: idle, isOpen: false },
  { name: 'open it', choose: ownAction, isOpen: true },
  { name: 'leave it open', choose: idle, isOpen: true },
  { name: 'shut it', choose: ownAction, isOpen: false },
] as const;

/** A live room's clip, and the words for opening its thing. */
export interface LiveRoom {
  readonly clip: SimulatedClip;
  /** The clip up to the end of each act. */
  readonly acts: readonly SimulatedClip[];
  /** The words for opening the thing. */
  readonly opening: string;
}

/** A shut drawer (even seeds) or door (odd) that is opened and shut again, before a camera that stands. */
export async function liveRoom(seed: number, size: ClipSize): Promise<LiveRoom | Unusable> {
  const world = await makeWorld(seed, seed % 2 === 0 ? 'pull-drawer' : 'open-door');
  const settings = { ...size, fixedCamera: true };
  const starts = evenStarts(LIVE_ACTS.length, size.frames);
  const clip = await simulateEpisode(
    world,
    settings,
    LIVE_ACTS.map(({ choose }) => choose),
    starts,
  );
  if ('rejected' in clip) return clip;
  const acts = starts.map((_, k) => until(clip, starts[k + 1] ?? size.frames));
  const wrong = LIVE_ACTS.find(
    ({ isOpen }, k) => isOpen !== openedShare(world, acts[k].moving, world.actor) > OPENED,
  );
  if (wrong) return { rejected: `${wrong.name}: does not` };
  return { clip, acts, opening: makeMotion(world, settings).caption };
}
