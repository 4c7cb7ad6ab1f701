/** Both hands of a video: followed onwards, and from where they are first seen back into the pictures before. */
import { type Followed, ownRegion } from './followed.ts';
import { type HandTracker, isSameHand, MOST_HANDS } from './hand-tracker.ts';
import { regionOfLandmarks } from './region.ts';
import type { Picture, SeenHand } from './types.ts';

/** Pictures that a hand is followed back. */
const BACK = 16;

/** Takes a video's pictures in order. */
export class VideoTracker {
  readonly #tracker: Pick<HandTracker, 'next' | 'begun' | 'follow' | 'closer'>;
  readonly #past: Picture[] = [];
  readonly #hands: (readonly SeenHand[])[] = [];

  /** @param tracker of no other video, or reset. */
  constructor(tracker: Pick<HandTracker, 'next' | 'begun' | 'follow' | 'closer'>) {
    this.#tracker = tracker;
  }

  /** The hands in each picture so far, at most two. Later pictures may show some in earlier ones. */
  get hands(): readonly (readonly SeenHand[])[] {
    return this.#hands;
  }

  /** @param picture kept for a while. */
  async add(picture: Picture): Promise<void> {
    const found: SeenHand[] = [];
    for (const hand of await this.#tracker.next(picture)) {
      const closer = await this.#tracker.closer(picture, hand);
      if (!found.some((other) => isSeenTwice(other, closer))) found.push(closer);
    }
    this.#hands.push(found);
    for (const known of this.#tracker.begun) await this.#followBack(known);
    this.#past.push(picture);
    if (this.#past.length > BACK) this.#past.shift();
  }

  async #followBack(first: Followed): Promise<void> {
    let known: Followed | undefined = first;
    for (let back = 1; back <= this.#past.length; back++) {
      const at = this.#hands.length - 1 - back;
      if (this.#hands[at].length >= MOST_HANDS) return;
      const picture = this.#past[this.#past.length - back];
      known = await this.#tracker.follow(picture, known);
      if (!known) return;
      const region = ownRegion(known.look);
      // From here on it was known.
      if (this.#hands[at].some((hand) => isSameHand(regionOfLandmarks(hand.points), region))) return;
      const closer = await this.#tracker.closer(picture, known.look.hand);
      if (this.#hands[at].some((hand) => isSeenTwice(hand, closer))) return;
      this.#hands[at] = [...this.#hands[at], closer];
    }
  }
}

/** What was taken for two hands may be one, seen closer. */
const isSeenTwice = (a: SeenHand, b: SeenHand): boolean =>
  a.own !== undefined && b.own !== undefined && isSameHand(a.own.region, b.own.region);
