/**
 * The cross-entropy method (Rubinstein 1999) over points of the unit cube: draw a population, keep the best, draw the
 * next around them. A point's first coordinate may choose among things, so the elite's choices are drawn again as they
 * are and only the other coordinates are spread. The state is plain data: a search that is stopped goes on from it.
 */
import { randomReference } from '@dwm/core-tensor';

/** How a search by the cross-entropy method goes. */
export interface CemOptions {
  readonly population: number;
  /** Best points of all rounds that the next is drawn around. */
  readonly elite: number;
  /** Coordinates at the front that choose: they are copied from an elite point, not spread. */
  readonly choices: number;
  /** Coordinates. */
  readonly size: number;
  readonly seed: number;
}

/** A search between two rounds; as JSON it can be kept and gone on with. */
export interface CemState {
  /** Rounds that are scored. */
  readonly round: number;
  /** All points that are scored, the lowest cost first. */
  readonly scored: readonly { readonly point: readonly number[]; readonly cost: number }[];
}

/** Spread of the coordinates around an elite point never falls below this. */
const LEAST_SPREAD = 0.04;

/** A search that has not begun. */
export const startSearch = (): CemState => ({ round: 0, scored: [] });

/**
 * The points of the next round: around the elite, and in the first evenly through the cube (Roberts' sequence from a
 * random start), so that few points meet every choice. The same state gives the same.
 */
function propose({ round, scored }: CemState, options: CemOptions): number[][] {
  const { population, size, choices, seed, elite } = options;
  const draw = (distribution: 'uniform' | 'normal', stream: number) =>
    randomReference({ count: population * size, distribution, stream }, [seed, round]);
  const uniform = draw('uniform', 0);
  if (round === 0) {
    // The root of x^(size + 1) = x + 1.
    let root = 2;
    for (let i = 0; i < 32; i++) root = (1 + root) ** (1 / (size + 1));
    return Array.from({ length: population }, (_, i) =>
      Array.from({ length: size }, (__, d) => (uniform[d] + i * root ** -(d + 1)) % 1),
    );
  }
  const normal = draw('normal', 1);
  const best = scored.slice(0, elite);
  const spread = Array.from({ length: size }, (_, d) => {
    const values = best.map(({ point }) => point[d]);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    return Math.max(LEAST_SPREAD, deviation / 2);
  });
  return Array.from({ length: population }, (_, i) => {
    const { point } = best[Math.floor(uniform[i] * best.length)];
    return point.map((value, d) =>
      d < choices ? value : Math.min(1, Math.max(0, value + spread[d] * normal[i * size + d])),
    );
  });
}

/** One round: points are drawn, `costs` says what each costs, and all are sorted. */
export async function refine(
  state: CemState,
  options: CemOptions,
  costs: (points: readonly number[][]) => Promise<readonly number[]>,
): Promise<CemState> {
  const points = propose(state, options);
  const found = await costs(points);
  const scored = [...state.scored, ...points.map((point, i) => ({ point, cost: found[i] }))];
  return { round: state.round + 1, scored: scored.sort((a, b) => a.cost - b.cost) };
}
