/**
 * Hands of single pictures as a left and a right one through the video. Hands near each other in pictures that follow
 * are one hand. It keeps the side that it was taken for most often and most surely; of two hands of one side, the less
 * sure is the other.
 */
import { type HandSide, SIDES } from '@dwm/renderer';
import { regionOfLandmarks } from '../tracker/region.ts';
import type { Region, SeenHand } from '../tracker/types.ts';

/** Pictures in a row in which a hand may be missed and still be the same; no more are ever filled in. */
export const LONGEST_GAP = 3;

/** A hand goes no further from one picture to the next, by the side of the square that shows it. */
const FARTHEST = 0.8;

/** A hand that is seen at once less often than this is none; a sure one, less often than that. */
const FEWEST = { unsure: 3, sure: 2 };

/** What is seen of one side's hand in each picture. */
export type Track = readonly (SeenHand | undefined)[];

interface Chain {
  readonly seen: Map<number, SeenHand>;
  last: number;
  region: Region;
}

/** What else says which hand it is: above zero for a right one; a network that is certain says 0.5. */
export type Opinion = (seen: SeenHand) => number;

/** @param pictures the hands in each picture of a video, in order. */
export function handTracks(
  pictures: readonly (readonly SeenHand[])[],
  opinion: Opinion = () => 0,
): Record<HandSide, Track> {
  const chains = chained(pictures).filter((chain) => isHand(chain, pictures.length));
  // The surest choose first; what is left of a picture is for the other side.
  const votes = new Map(chains.map((chain) => [chain, vote(chain, opinion)]));
  chains.sort((a, b) => Math.abs(votes.get(b)!) - Math.abs(votes.get(a)!));
  const tracks = { left: new Map<number, SeenHand>(), right: new Map<number, SeenHand>() };
  for (const chain of chains) {
    const wanted: HandSide = votes.get(chain)! > 0 ? 'right' : 'left';
    const isFree = (side: HandSide) => ![...chain.seen.keys()].some((picture) => tracks[side].has(picture));
    const side = [wanted, ...SIDES].find(isFree);
    if (side) for (const [picture, hand] of chain.seen) tracks[side].set(picture, hand);
  }
  const track = (side: HandSide): Track => pictures.map((_, picture) => tracks[side].get(picture));
  return { left: track('left'), right: track('right') };
}

function chained(pictures: readonly (readonly SeenHand[])[]): Chain[] {
  const chains: Chain[] = [];
  pictures.forEach((hands, picture) => {
    const open = chains.filter(({ last }) => picture - last <= LONGEST_GAP + 1);
    const pairs = hands.flatMap((hand) => {
      const region = regionOfLandmarks(hand.points);
      return open.map((chain) => ({
        ...{ hand, region, chain },
        distance: Math.hypot(region.x - chain.region.x, region.y - chain.region.y) / chain.region.size,
      }));
    });
    pairs.sort((a, b) => a.distance - b.distance);
    const placed = new Set<SeenHand>();
    for (const { hand, region, chain, distance } of pairs) {
      const reach = FARTHEST * (picture - chain.last);
      if (placed.has(hand) || chain.last === picture || distance > reach) continue;
      chain.seen.set(picture, hand);
      Object.assign(chain, { last: picture, region });
      placed.add(hand);
    }
    for (const hand of hands)
      if (!placed.has(hand))
        chains.push({
          seen: new Map([[picture, hand]]),
          last: picture,
          region: regionOfLandmarks(hand.points),
        });
  });
  return chains;
}

/** What flashes up is no hand, unless the whole video is as short. */
function isHand({ seen }: Chain, pictures: number): boolean {
  const atOnce = [...seen.values()].filter((hand) => hand.atOnce);
  const isSure = atOnce.some(({ presence }) => presence > 0.8);
  return atOnce.length >= Math.min(pictures, isSure ? FEWEST.sure : FEWEST.unsure);
}

/** What an arm that comes straight from the side weighs, where a network that is certain weighs 0.5. */
const ARM = 0.2;

/**
 * Above zero for a right hand. One's own right arm comes from the right, which decides where the network is unsure: the
 * model's pictures are seen from the head whose hands these are.
 */
function vote({ seen }: Chain, opinion: Opinion): number {
  const hands = [...seen.values()];
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const asked = evenly(hands, ASKED).map(opinion);
  const own = hands.map(
    ({ side, sideCertainty, presence, points }) =>
      presence * ((side === 'right' ? 1 : -1) * (sideCertainty - 0.5) + ARM * fromRight(points)),
  );
  return sum(own) + (sum(asked) * hands.length) / asked.length;
}

/** Pictures of a hand that an opinion is asked of. */
const ASKED = 12;

function evenly<T>(values: readonly T[], most: number): readonly T[] {
  const count = Math.min(most, values.length);
  return Array.from({ length: count }, (_, i) => values[Math.floor(((i + 0.5) * values.length) / count)]);
}

/** -1 to 1: which way the wrist lies from the middle knuckle. */
function fromRight(points: SeenHand['points']): number {
  const [x, y] = [points[0][0] - points[9][0], points[0][1] - points[9][1]];
  return x / Math.max(1e-9, Math.hypot(x, y));
}
