/** A hand that is followed from picture to picture: what it looked like, and where it may be. */
import type { Look } from './clearest.ts';
import { alike, type Colours, coloursOf } from './colours.ts';
import { regionOfLandmarks } from './region.ts';
import type { Picture, Region, SeenHand } from './types.ts';

/** Of a hand from one picture to the next, by its square's side: how far it goes, and how much it seems to grow. */
const DEVIATION = { place: 0.6, size: 0.25 };

/** How much of what was known of size and colours is kept where a hand is seen again, surely. */
const KEPT = 0.8;

/** A hand that was seen, and for how many pictures it has not been. */
export interface Followed {
  readonly look: Look;
  /** Its own square's side, pixels. */
  readonly size: number;
  readonly colours: Colours;
  readonly unseen: number;
  /** Whether it was seen for the first time. */
  readonly isNew: boolean;
}

export const ownRegion = ({ hand }: Look): Region => regionOfLandmarks(hand.points);

/** A hand from its first sight on. */
export const begin = (picture: Picture, look: Look): Followed => ({
  look,
  size: ownRegion(look).size,
  colours: coloursOf(picture, look.hand.points),
  unseen: 0,
  isNew: true,
});

/** The hand after another sight of it. What is learned of it is by how sure the network is. */
export function continued(picture: Picture, known: Followed, look: Look): Followed {
  const share = (1 - KEPT) * Math.min(1, look.clarity);
  const colours = coloursOf(picture, look.hand.points);
  return {
    look,
    size: known.size * (ownRegion(look).size / known.size) ** share,
    colours: known.colours.map((value, i) => value + share * (colours[i] - value)),
    unseen: 0,
    isNew: false,
  };
}

/** How clearly a hand is the one that is followed, 0 to 1: seen at all, of its colours, its size, and near it. */
export function clarityOf(
  picture: Picture,
  hand: SeenHand,
  { look, size, colours, unseen }: Followed,
): number {
  const [was, is] = [ownRegion(look), regionOfLandmarks(hand.points)];
  const away = Math.hypot(is.x - was.x, is.y - was.y) / (was.size * DEVIATION.place * Math.sqrt(1 + unseen));
  const grown = Math.log(is.size / size) / DEVIATION.size;
  const likeness = alike(colours, coloursOf(picture, hand.points));
  return hand.presence * likeness * Math.exp(-(away ** 2 + grown ** 2) / 2);
}
