/** Five things that a hand may do in a room, and which of them the model says opens the drawer. */
import type { Video } from '@dwm/dwm-model';
import { frameOf } from '@dwm/dwm-model/metrics';
import { rankActions, wantedChange } from '@dwm/dwm-model/ranking';
import { writePng } from '@dwm/media/node';
import { CANDIDATES, type CandidateName, drawerRoom, type Unusable } from '@dwm/synth';
import { pasteHands } from '../eval/baselines.ts';
import { rankingSheet } from '../rank/results.ts';
import { type Captions, captionFor } from './captions.ts';
import type { Setup } from './setup.ts';

interface RankedRoom {
  /** From the nearest to the goal on. */
  readonly order: readonly CandidateName[];
  /** In the order of `CANDIDATES`. */
  readonly distances: readonly number[];
  /** The same with the hand render pasted on the static video in the model's place. */
  readonly pasted: readonly number[];
}

export const RIGHT = CANDIDATES[0];

/** @param sheet file for a picture of the ranking. */
export async function rankRoom(
  setup: Setup,
  seed: number,
  captions: Captions,
  sheet: string,
): Promise<RankedRoom | Unusable> {
  const room = await drawerRoom(seed, setup.size);
  if ('rejected' in room) return room;
  const [right, ...others] = room.clips;
  const drawn = await setup.draw(right);
  if ('rejected' in drawn) return drawn;
  const { staticVideo, after: goal } = drawn;
  const handVideos = [drawn.handVideo as Video];
  for (const clip of others) handVideos.push(await setup.drawHands(clip));
  const candidates = CANDIDATES.map((name, i) => ({
    name,
    handVideo: handVideos[i],
    prompt: captionFor(captions, room.clips[i].caption, right.caption),
  }));
  const distance = setup.generator.distance();
  const scene = { staticVideo, prompt: '' };
  const ranked = await rankActions(setup.model, scene, candidates, goal, { ...setup.sampling, distance });
  await writePng(sheet, rankingSheet(ranked, candidates, staticVideo, goal));
  const still = frameOf(staticVideo, staticVideo.frames - 1);
  const wanted = wantedChange(still, goal);
  const pasted: number[] = [];
  for (const handVideo of handVideos) {
    const hands = frameOf(handVideo, handVideo.frames - 1);
    pasted.push(await distance(pasteHands({ ...still, fps: 1 }, { ...hands, fps: 1 }), wanted));
  }
  const of = (name: CandidateName) => ranked.find((one) => one.name === name)!.distance.mean;
  return { order: ranked.map(({ name }) => name as CandidateName), distances: CANDIDATES.map(of), pasted };
}

/** 1 where the right candidate is alone in front, a share where it ties; 0 else. */
export function firstPlace(distances: readonly number[]): number {
  const best = Math.min(...distances);
  return distances[0] === best ? 1 / distances.filter((value) => value === best).length : 0;
}
