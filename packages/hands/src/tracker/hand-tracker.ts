/**
 * Both hands in every picture of a video. A hand that was seen is looked for where it was. Palms are searched where no
 * hand is seen, and now and then for a second one. Beyond MediaPipe Hands, on whose networks this stands, parts of the
 * picture are searched too, for small hands, and where the network is unsure of a hand it is shown it in other squares.
 */
import type { Device } from '@dwm/core-tensor';
import { clearest, type Look } from './clearest.ts';
import { Eyes, type HandWeights } from './eyes.ts';
import { begin, clarityOf, continued, type Followed, ownRegion } from './followed.ts';
import { overlap } from './region.ts';
import type { Picture, Region, SeenHand } from './types.ts';

/** What says that there is a hand where none was known: MediaPipe's own threshold. */
const LEAST_NEW = 0.5;

/** How clearly a hand that was there in the picture before must be seen. */
const LEAST_KNOWN = 0.05;

/** As clearly as this, no better look at it is wanted. */
const ENOUGH = 0.4;

/** Pictures in a row in which a hand may be unseen, and still be looked for where it was. */
const PATIENCE = 3;

/** Regions that share more than this show one hand. */
const SAME_HAND = 0.5;

/** Of one person. */
export const MOST_HANDS = 2;

/** Pictures between two searches for a second hand. */
const SEARCH_EVERY = 6;

/** Finds hands in one picture after another. */
export class HandTracker {
  readonly #eyes: Eyes;
  #followed: readonly Followed[] = [];
  #pictures = 0;
  #others = false;

  private constructor(eyes: Eyes) {
    this.#eyes = eyes;
  }

  /** @throws InvalidFileError for weights that are not of these networks. */
  static async create(device: Device, weights: HandWeights): Promise<HandTracker> {
    return new HandTracker(await Eyes.create(device, weights));
  }

  /** The hands in the next picture, at most two, the surest first. */
  async next(picture: Picture): Promise<readonly SeenHand[]> {
    const found: Followed[] = [];
    const lost: Followed[] = [];
    this.#others = false;
    for (const known of this.#followed) {
      if (found.length === MOST_HANDS) break;
      const again = await this.follow(picture, known);
      if (again && !isKnown(found, ownRegion(again.look))) found.push(again);
      else if (known.unseen < PATIENCE) lost.push({ ...known, unseen: known.unseen + 1 });
    }
    if (found.length < MOST_HANDS && (found.length === 0 || this.#pictures % SEARCH_EVERY === 0))
      for (const views of searchedViews(picture)) {
        for (const view of views) await this.#search(picture, view, found);
        if (found.length > 0) break;
      }
    this.#pictures++;
    found.sort((a, b) => b.look.hand.presence - a.look.hand.presence);
    this.#followed = [...found, ...lost.filter(({ look }) => !isKnown(found, ownRegion(look)))];
    return found.map(({ look }) => look.hand);
  }

  /** Hands that the last picture is the first to show. */
  get begun(): readonly Followed[] {
    return this.#followed.filter(({ isNew, unseen }) => isNew && unseen === 0);
  }

  /** Whether more hands than are followed were seen in the last picture. */
  get others(): boolean {
    return this.#others;
  }

  /** A hand in a picture next to the one that showed it; undefined where it is not seen. */
  async follow(picture: Picture, known: Followed): Promise<Followed | undefined> {
    const look = await this.#again(picture, known);
    return look && continued(picture, known, look);
  }

  /** The hand as our head reads it where it sees it best; as it is without weights for it. */
  closer(picture: Picture, hand: SeenHand): Promise<SeenHand> {
    return this.#eyes.closer(picture, hand);
  }

  /** Forgets the hands of the picture before: the next one is of another video. */
  reset(): void {
    this.#followed = [];
    this.#pictures = 0;
  }

  destroy(): void {
    this.#eyes.destroy();
  }

  /** Adds hands that were not known. */
  async #search(picture: Picture, view: Region, found: Followed[]): Promise<void> {
    for (const { region } of await this.#eyes.palms(picture, view)) {
      if (isKnown(found, region)) continue;
      const hand = await this.#eyes.hand(picture, region);
      const look = { hand, region, clarity: hand.presence };
      // Two regions may lead to one hand.
      if (!(hand.presence >= LEAST_NEW) || isKnown(found, ownRegion(look))) continue;
      if (found.length < MOST_HANDS) found.push(begin(picture, look));
      else this.#others = true;
    }
  }

  /** A hand that was seen, where it was, or where there are palms near by. */
  async #again(picture: Picture, known: Followed): Promise<Look | undefined> {
    const look = async (region: Region): Promise<Look> => {
      const hand = await this.#eyes.hand(picture, region);
      return { hand, region, clarity: clarityOf(picture, hand, known) };
    };
    const own = ownRegion(known.look);
    const { size, angle } = known.look.region;
    let best = await clearest(look, [own, { ...own, size, angle }], ENOUGH);
    if (best && best.clarity < ENOUGH / 2) {
      const palms = await this.#eyes.palms(picture, { ...own, size: 2 * known.size, angle: 0 });
      for (const { region } of palms.slice(0, 2)) {
        // Of a palm that holds something the detector knows the place, hardly the turn and the size.
        const other = await clearest(look, [region, { x: region.x, y: region.y, size, angle }], ENOUGH);
        if (other && other.clarity > best.clarity) best = other;
      }
    }
    return best && best.clarity >= LEAST_KNOWN ? best : undefined;
  }
}

/** Whether the squares of two hands in a picture show one. */
export const isSameHand = (a: Region, b: Region): boolean => overlap(a, b) > SAME_HAND;

const isKnown = (found: readonly Followed[], region: Region): boolean =>
  found.some(({ look }) => isSameHand(ownRegion(look), region));

/**
 * Parts of a picture to search, the coarsest first: the whole, where palms of a sixth of it are found, then squares
 * that overlap, for palms that are smaller.
 */
function searchedViews({ width, height }: Picture): Region[][] {
  const short = Math.min(width, height);
  const squares = (size: number): Region[] => {
    const along = (length: number) => {
      const count = Math.max(1, Math.ceil((1.5 * length) / size - 0.5));
      return Array.from({ length: count }, (_, i) =>
        count === 1 ? length / 2 : size / 2 + (i * (length - size)) / (count - 1),
      );
    };
    return along(height).flatMap((y) => along(width).map((x) => ({ x, y, size, angle: 0 })));
  };
  return [
    [{ x: width / 2, y: height / 2, size: Math.max(width, height), angle: 0 }],
    squares(short),
    squares(0.6 * short),
  ];
}
