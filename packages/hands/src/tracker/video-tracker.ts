/** Both hands of a video: followed onwards, and from where they are first seen back into the pictures before. */
import { type Followed, ownRegion } from './followed.ts';
import { type HandTracker, isSameHand, MOST_HANDS } from './hand-tracker.ts';
import { regionOfLandmarks } from './region.ts';
import type { Picture, SeenHand } from './types.ts';

/** Pictures that a hand is followed back. */
const BACK = 16;

/** Takes a video's pictures in order. */
export class VideoTracker {
  readonly #tracker: Pick<HandTracker, 'next' | 'begun' | 'follow'>;
  readonly #past: Picture[] = [];
  readonly #hands: (readonly SeenHand[])[] = [];

  /** @param tracker of no other video, or reset. */
  constructor(tracker: Pick<HandTracker, 'next' | 'begun' | 'follow'>) {
    this.#tracker = tracker;
  }

  /** The hands in each picture so far, at most two. Later pictures may show some in earlier ones. */
  get hands(): readonly (readonly SeenHand[])[] {
    return this.#hands;
  }

  /** @param picture kept for a while. */
  async add(picture: Picture): Promise<void> {
    this.#hands.push(await this.#tracker.next(picture));
    for (const known of this.#tracker.begun) await this.#followBack(known);
    this.#past.push(picture);
    if (this.#past.length > BACK) this.#past.shift();
  }

  async #followBack(first: Followed): Promise<void> {
    let known: Followed | undefined = first;
    for (let back = 1; back <= this.#past.length; back++) {
      const at = this.#hands.length - 1 - back;
      if (this.#hands[at].length >= MOST_HANDS) return;
      known = await this.#tracker.follow(this.#past[this.#past.length - back], known);
      if (!known) return;
      const region = ownRegion(known.look);
      // From here on it was known.
      if (this.#hands[at].some((hand) => isSameHand(regionOfLandmarks(hand.points), region))) return;
      this.#hands[at] = [...this.#hands[at], known.look.hand];
    }
  }
}
