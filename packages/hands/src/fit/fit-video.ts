/** The hands of a video's pictures as our hands: fitted picture by picture, short gaps bridged, smoothed. */
import { type HandSide, type Hands, type Intrinsics, rotations, SIDES } from '@dwm/renderer';
import type { SeenHand } from '../tracker/types.ts';
import { Articulation, mixPostures, type Posture } from './articulation.ts';
import { sizeOf } from './fit-hand.ts';
import { fitOwnHand, type OwnHand } from './fit-own-hand.ts';
import { ownView } from './own-view.ts';
import { handTracks, LONGEST_GAP, type Opinion, type Track } from './tracks.ts';

/** What is known of one hand in one picture. */
export interface HandRecord {
  readonly presence: number;
  readonly sideCertainty: number;
  /** Root mean square distance of our hand's points from those seen, in pixels. */
  readonly reprojectionError: number;
}

/** The hands of a video. */
export interface VideoHands {
  /** Before a camera at the origin that looks along -z, one a picture. */
  readonly hands: readonly Hands[];
  /** `null` where no hand is seen; a hand may yet be there, between two others. */
  readonly records: readonly Readonly<Record<HandSide, HandRecord | null>>[];
  /** Sizes of the hands by those at rest. */
  readonly sizes: Readonly<Record<HandSide, number>>;
}

/** Adults' hands. */
const SIZES = { least: 0.85, most: 1.15 };

/**
 * @param pictures what `HandTracker` found in each.
 * @param rest the hands at rest, [25, 7] in WebXR's order.
 */
export function fitVideo(
  pictures: readonly (readonly SeenHand[])[],
  camera: Intrinsics,
  rest: Readonly<Record<HandSide, ArrayLike<number>>>,
): VideoHands {
  const tracks = handTracks(pictures, sideByFit(camera, rest));
  const [left, right] = SIDES.map((side) => fitTrack(tracks[side], side, camera, rest[side]));
  return {
    hands: pictures.map((_, i) => ({ left: pose(left.joints[i]), right: pose(right.joints[i]) })),
    records: pictures.map((_, i) => ({ left: left.records[i], right: right.records[i] })),
    sizes: { left: left.size, right: right.size },
  };
}

const pose = (joints: Float64Array | undefined) => (joints ? { joints } : null);

/** How much better it fits as one side's hand where that is certain, and what is then said. */
const CERTAIN = { better: 20, vote: 2 };

/** Which hand it is, by our head, or else by what fits better: both are right more often than MediaPipe's network. */
function sideByFit(camera: Intrinsics, rest: Readonly<Record<HandSide, ArrayLike<number>>>): Opinion {
  const hands = SIDES.map((side) => new Articulation(rest[side], 1));
  return (seen) => {
    if (seen.own) return CERTAIN.vote * (2 * seen.own.reading.rightness - 1);
    const [left, right] = SIDES.map((side, i) => fitOwnHand(seen, side, camera, hands[i], rest[side], true));
    if (!left || !right) return 0;
    const better = (left.cost - right.cost) / CERTAIN.better;
    return CERTAIN.vote * Math.max(-1, Math.min(1, better));
  };
}

/**
 * Above this cost of the middle picture our head is not believed: it knows simulated hands, and of others its points may
 * form no hand. Then MediaPipe's are taken.
 */
const BELIEVED = 12;

/** How far a hand seems to tremble where it is still, metres, by our head and by MediaPipe's points. */
const TREMBLING = { ours: 0.01, mediapipes: 0.1 };

function fitTrack(track: Track, side: HandSide, camera: Intrinsics, rest: ArrayLike<number>) {
  const hasOurs = track.some((seen) => seen?.own);
  const ours = hasOurs && fitted(track, side, camera, rest, TREMBLING.ours);
  if (ours && ours.cost <= BELIEVED) return ours;
  const mediapipes = track.map((seen) => seen && { ...seen, own: undefined });
  return fitted(mediapipes, side, camera, rest, TREMBLING.mediapipes);
}

function fitted(
  track: Track,
  side: HandSide,
  camera: Intrinsics,
  rest: ArrayLike<number>,
  trembling: number,
) {
  const size = sizeOfTrack(track, rest);
  const hand = new Articulation(rest, size);
  const fits: (OwnHand | undefined)[] = [];
  track.forEach((seen, i) => {
    const near = fits[i - 1]?.posture;
    fits.push(seen && fitOwnHand(ownView(seen, side, camera, size), side, camera, hand, rest, false, near));
  });
  const postures = smoothed(bridged(fits.map((fit) => fit?.posture)), trembling);
  return {
    size,
    cost: median(fits.flatMap((fit) => (fit ? [fit.cost] : []))) ?? Number.POSITIVE_INFINITY,
    joints: postures.map((posture) => posture && hand.joints(posture)),
    records: track.map((seen, i): HandRecord | null => {
      const fit = fits[i];
      if (!seen || !fit) return null;
      const { presence, sideCertainty } = seen;
      return { presence, sideCertainty, reprojectionError: fit.error };
    }),
  };
}

const median = (values: readonly number[]): number | undefined =>
  [...values].sort((a, b) => a - b)[values.length >> 1];

/**
 * One picture says little of a hand's size, MediaPipe's metres not much more: half of what they say is taken. Our head
 * says nothing of it.
 */
function sizeOfTrack(track: Track, rest: ArrayLike<number>): number {
  const said = track.flatMap((seen) => (seen && !seen.own ? [sizeOf(seen, rest)] : []));
  const size = Math.sqrt(median(said) ?? 1);
  return Math.min(SIZES.most, Math.max(SIZES.least, size));
}

type Postures = readonly (Posture | undefined)[];

/** Gaps of up to `LONGEST_GAP` pictures are filled evenly. */
function bridged(postures: Postures): Postures {
  const filled = [...postures];
  let last = -1;
  postures.forEach((posture, i) => {
    if (!posture) return;
    const gap = i - last - 1;
    if (last >= 0 && gap > 0 && gap <= LONGEST_GAP)
      for (let k = last + 1; k < i; k++)
        filled[k] = mixPostures(postures[last]!, posture, (k - last) / (i - last));
    last = i;
  });
  return filled;
}

/**
 * Each posture moved towards the middle of its neighbours: halfway where it lies near it, hardly where a hand speeds up
 * or turns round. At the ends of a stretch it stays.
 */
function smoothed(postures: Postures, trembling: number): Postures {
  return postures.map((posture, i) => {
    const [before, after] = [postures[i - 1], postures[i + 1]];
    if (!posture || !before || !after) return posture;
    const middle = mixPostures(before, after, 0.5);
    const away = rotations.length(rotations.subtract(posture.place, middle.place));
    return mixPostures(posture, middle, 0.5 / (1 + (away / trembling) ** 2));
  });
}
