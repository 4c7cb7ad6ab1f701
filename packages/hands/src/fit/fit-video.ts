/** The hands of a video's pictures as our hands: fitted picture by picture, short gaps bridged, smoothed. */
import { type HandSide, type Hands, type Intrinsics, SIDES } from '@dwm/renderer';
import type { SeenHand } from '../tracker/types.ts';
import { Articulation, mixPostures, type Posture } from './articulation.ts';
import { type FittedHand, sizeOf } from './fit-hand.ts';
import { fitOwnHand, METRES_DEVIATION } from './fit-own-hand.ts';
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

/** How much better it fits as one side's hand where that is certain, and what it then says. */
const CERTAIN = { better: 20, vote: 2 };

/** A hand is the one that it fits better as; that is right more often than the network. */
function sideByFit(camera: Intrinsics, rest: Readonly<Record<HandSide, ArrayLike<number>>>): Opinion {
  const hands = SIDES.map((side) => new Articulation(rest[side], 1));
  return (seen) => {
    const [left, right] = SIDES.map((side, i) =>
      fitOwnHand(seen, side, camera, hands[i], rest[side], METRES_DEVIATION.doubted),
    );
    if (!left || !right) return 0;
    const better = (left.cost - right.cost) / CERTAIN.better;
    return CERTAIN.vote * Math.max(-1, Math.min(1, better));
  };
}

function fitTrack(track: Track, side: HandSide, camera: Intrinsics, rest: ArrayLike<number>) {
  const sizes = track.flatMap((seen) => (seen ? [sizeOf(seen, rest)] : [])).sort((a, b) => a - b);
  // One picture says little of a hand's size, a network's metres not much more: half of what they say is taken.
  const said = Math.sqrt(sizes[sizes.length >> 1] ?? 1);
  const size = Math.min(SIZES.most, Math.max(SIZES.least, said));
  const hand = new Articulation(rest, size);
  const fitted: (FittedHand | undefined)[] = [];
  track.forEach((seen, i) => {
    fitted.push(
      seen && fitOwnHand(seen, side, camera, hand, rest, METRES_DEVIATION.known, fitted[i - 1]?.posture),
    );
  });
  const postures = smoothed(bridged(fitted.map((one) => one?.posture)));
  return {
    size,
    joints: postures.map((posture) => posture && hand.joints(posture)),
    records: track.map((seen, i): HandRecord | null => {
      const fit = fitted[i];
      if (!seen || !fit) return null;
      const { presence, sideCertainty } = seen;
      return { presence, sideCertainty, reprojectionError: fit.error };
    }),
  };
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

/** Each posture moved halfway to the middle of its neighbours; at the ends of a stretch it stays. */
function smoothed(postures: Postures): Postures {
  return postures.map((posture, i) => {
    const [before, after] = [postures[i - 1], postures[i + 1]];
    return posture && before && after ? mixPostures(posture, mixPostures(before, after, 0.5), 0.5) : posture;
  });
}
