/**
 * A hand looked at from where it is seen most clearly. The landmark network knows a fist around a handle only if the
 * square that it is shown has the right size and turn, which differ from those of an open hand: squares about the first
 * one are tried, and those about the best of them.
 */
import type { Region, SeenHand } from './types.ts';

/** A look at a hand, the square that it was seen in, and how clearly. */
export interface Look {
  readonly hand: SeenHand;
  readonly region: Region;
  readonly clarity: number;
}

/** Turns in radians, sizes by the square's own, ways along the hand and across by its side. */
const CHANGES = [
  { turn: 0.4 },
  { turn: -0.4 },
  { size: 1.25 },
  { size: 0.8 },
  { along: 0.15 },
  { along: -0.15 },
  { across: 0.15 },
  { across: -0.15 },
];

/**
 * @param starts squares to begin with, the likeliest first.
 * @param enough clarity at which no better look is wanted.
 */
export async function clearest(
  look: (region: Region) => Promise<Look>,
  starts: readonly Region[],
  enough: number,
): Promise<Look | undefined> {
  let best: Look | undefined;
  const isEnough = () => best !== undefined && best.clarity >= enough;
  let shown = 0;
  const attempt = async (region: Region): Promise<boolean> => {
    shown++;
    const other = await look(region);
    if (best && !(other.clarity > best.clarity)) return false;
    best = { ...other, hand: { ...other.hand, atOnce: shown === 1 && other.clarity >= enough } };
    return true;
  };
  for (const region of starts) if (region.size > 1 && !isEnough()) await attempt(region);
  for (let i = 0; best && i < CHANGES.length && !isEnough(); i++)
    // What one way has made better is not tried the other way.
    if ((await attempt(changed(best.region, CHANGES[i]))) && i % 2 === 0) i++;
  return best;
}

interface Change {
  readonly turn?: number;
  readonly size?: number;
  readonly along?: number;
  readonly across?: number;
}

function changed({ x, y, size, angle }: Region, change: Change): Region {
  const { turn = 0, size: factor = 1, along = 0, across = 0 } = change;
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  return {
    x: x + size * (across * cosine + along * sine),
    y: y + size * (across * sine - along * cosine),
    size: size * factor,
    angle: angle + turn,
  };
}
