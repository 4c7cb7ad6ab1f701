/**
 * A clip from a seed: makeWorld, makeMotion, runHands, and a look at the result. Clips in which hands go through
 * furniture, nothing happens, or the hand is not seen are rejected.
 */
import { type HandSide, type Hands, NO_HANDS, SIDES, type Trajectory } from '@dwm/renderer';
import { clipOf } from './clip-of.ts';
import { anyStarts, firstAct, nextAct, simulateEpisode } from './episode.ts';
import { fault } from './fault.ts';
import { makeMotion } from './motion/make-motion.ts';
import { runHands } from './physics/run-hands.ts';
import { Random } from './random.ts';
import type { ClipSettings, Rejected, SimulatedClip } from './types.ts';
import { makeWorld } from './world/make-world.ts';
import type { Part } from './world/parts.ts';

/** Share of clips with a fixed camera, and of clips in which the tracker loses a hand. */
export const FIXED_CAMERA = 0.25;
const DROP_OUT = 0.08;

/** @param parts things of a user's. @throws what Rapier throws where WebAssembly cannot run. */
export async function simulate(
  seed: number,
  settings: ClipSettings,
  parts: readonly Part[] = [],
): Promise<SimulatedClip | Rejected> {
  const world = await makeWorld(seed, settings.room ?? settings.action, parts);
  const random = Random.fork(seed, 'clip');
  const fixedCamera = settings.fixedCamera ?? random.chance(FIXED_CAMERA);
  const { acts = 1, fps = 8 } = settings;
  const own = { ...settings, fps, fixedCamera };
  if (acts > 1) {
    const { action, frames } = settings;
    const first = action ? () => action : firstAct(world.action);
    const later = Array.from({ length: acts - 1 }, () => nextAct);
    const starts = anyStarts(acts, frames, Random.fork(seed, 'starts'));
    const episode = await simulateEpisode(world, own, [first, ...later], starts);
    return 'rejected' in episode ? episode : dropped(episode, random);
  }
  const motion = makeMotion(world, own);
  const run = await runHands(world, motion.acting);
  const rejected = fault(world, motion, run);
  if (rejected) return { seed, action: motion.action, rejected };
  const clip = clipOf(world, motion, run, fixedCamera);
  return dropped(clip, random);
}

/** In some clips the tracker loses a hand. */
const dropped = (clip: SimulatedClip, random: Random): SimulatedClip =>
  random.chance(DROP_OUT) ? { ...clip, trajectory: withDropOut(clip.acting, random) } : clip;

/** One hand is lost for a few frames, as trackers lose them. */
function withDropOut(acting: Trajectory, random: Random): Trajectory {
  const count = acting.frames.length;
  const length = random.integer(1, Math.max(1, Math.floor(count / 4)));
  const from = random.integer(0, count - length);
  const lost: HandSide[] = random.chance(0.5) ? [...SIDES] : [random.pick(SIDES)];
  const without = (hands: Hands): Hands => ({
    ...hands,
    ...Object.fromEntries(lost.map((side) => [side, NO_HANDS[side]])),
  });
  return {
    ...acting,
    frames: acting.frames.map((frame, i) =>
      i >= from && i < from + length ? { ...frame, hands: without(frame.hands) } : frame,
    ),
  };
}
