/** Whether a video shows the hands where the hand video has them, by the points that a tracker finds in both. */
import type { Device } from '@dwm/core-tensor';
import { HandTracker, type SeenHand } from '@dwm/hands';
import { readHandWeights } from '@dwm/hands/node';
import { type Frames, frameAt } from '@dwm/media/node';
import type { EvalClip } from './types.ts';

/** A point is right within this share of the larger side of its hand (Simon et al., "Hand Keypoint Detection", 2017). */
const NEAR = 0.2;

type Points = SeenHand['points'];

/**
 * The share of points that are near the wanted ones (PCK), over all hands of all frames; a hand that is not seen has
 * none right. A hand that is seen counts for the wanted one that it is nearest to, whichever side it is taken for.
 * @returns null where no hand is wanted.
 */
export function pck(
  wanted: readonly (readonly Points[])[],
  seen: readonly (readonly Points[])[],
): number | null {
  let [right, all] = [0, 0];
  wanted.forEach((hands, frame) => {
    const free = new Set(seen[frame]);
    const pairs = hands.flatMap((hand) =>
      [...free].map((other) => ({ hand, other, off: distances(hand, other) })),
    );
    pairs.sort((a, b) => sum(a.off) - sum(b.off));
    const left = new Set(hands);
    for (const { hand, other, off } of pairs) {
      if (!left.has(hand) || !free.has(other)) continue;
      left.delete(hand);
      free.delete(other);
      const near = NEAR * extent(hand);
      right += off.filter((distance) => distance <= near).length;
    }
    all += hands.reduce((total, hand) => total + hand.length, 0);
  });
  return all > 0 ? right / all : null;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const distances = (a: Points, b: Points) => a.map(([x, y], i) => Math.hypot(x - b[i][0], y - b[i][1]));

function extent(points: Points): number {
  const along = (axis: 0 | 1) => {
    const values = points.map((point) => point[axis]);
    return Math.max(...values) - Math.min(...values);
  };
  return Math.max(along(0), along(1));
}

/** The tracker, and what it found in each hand video. */
export class HandPoints {
  readonly #tracker: HandTracker;
  readonly #wanted = new Map<string, readonly (readonly Points[])[]>();

  private constructor(tracker: HandTracker) {
    this.#tracker = tracker;
  }

  static async load(device: Device): Promise<HandPoints> {
    return new HandPoints(await HandTracker.create(device, await readHandWeights()));
  }

  /** PCK of a video against the clip's hands; null where none is found there, undefined without a hand video. */
  async pck({ name, handVideo }: EvalClip, video: Frames): Promise<number | null | undefined> {
    if (!handVideo) return undefined;
    const wanted = this.#wanted.get(name) ?? (await this.#find(handVideo));
    this.#wanted.set(name, wanted);
    // Where no hand is wanted, none is looked for.
    return wanted.some((hands) => hands.length > 0) ? pck(wanted, await this.#find(video)) : null;
  }

  destroy(): void {
    this.#tracker.destroy();
  }

  async #find(video: Frames): Promise<(readonly Points[])[]> {
    this.#tracker.reset();
    const found: (readonly Points[])[] = [];
    for (let frame = 0; frame < video.frames; frame++) {
      const hands = await this.#tracker.next(frameAt(video, frame));
      found.push(hands.map(({ points }) => points));
    }
    return found;
  }
}
