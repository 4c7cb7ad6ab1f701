/**
 * Which clip comes when: lists joined into one, or mixed by weight, each shuffled anew every time it has been gone
 * through. Everything follows from (seed, position), so a run resumed in the middle of an epoch sees the clips
 * it would have seen, and nothing needs to be saved but the position.
 */
import { InvalidArgumentError, philox4x32 } from '@dwm/core-tensor';

const KEY = 0x53414d50;

/** A whole number in [0, below), by (seed, stream, index). */
function draw(seed: number, stream: number, index: number, below: number): number {
  const [high, low] = philox4x32(
    [index >>> 0, Math.floor(index / 2 ** 32), stream >>> 0, 0],
    [seed >>> 0, KEY],
  );
  return Math.floor(((high * 2 ** 21 + (low >>> 11)) / 2 ** 53) * below);
}

/** The order of the `epoch`-th pass through `count` clips of one dataset (Fisher and Yates). */
export function epochOrder(seed: number, dataset: number, epoch: number, count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = draw(seed, 1 + dataset * 65_536 + epoch, i, i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

export class MixedSampler {
  readonly #seed: number;
  readonly #datasets: readonly { count: number; weight: number }[];
  /** Sizes of the lists that the one dataset is joined of. */
  readonly #joined: readonly number[] | undefined;
  readonly #orders = new Map<number, { epoch: number; order: Uint32Array }>();
  /** How often each dataset was drawn before `#counted`. */
  #taken: number[];
  #counted = 0;

  /**
   * @param lists without weights are joined into one, as in the original, so that their shares follow their sizes.
   * @throws InvalidArgumentError where some lists have a weight and others none.
   */
  constructor(seed: number, lists: readonly { readonly count: number; readonly weight?: number }[]) {
    this.#seed = seed;
    const weighted = lists.flatMap(({ count, weight }) => (weight === undefined ? [] : [{ count, weight }]));
    if (weighted.length > 0 && weighted.length < lists.length) {
      throw new InvalidArgumentError(
        'data.dataset_file',
        'give every list a weight, or none: without weights lists are joined, and shares follow sizes',
      );
    }
    this.#joined = weighted.length === 0 ? lists.map(({ count }) => count) : undefined;
    this.#datasets = this.#joined
      ? [{ count: this.#joined.reduce((sum, count) => sum + count, 0), weight: 1 }]
      : weighted;
    this.#taken = this.#datasets.map(() => 0);
  }

  /** List and clip at a position of the run, from 0. Cheapest when positions ascend. */
  at(position: number): { dataset: number; clip: number } {
    const drawn = this.#draw(position);
    if (!this.#joined) return drawn;
    let { dataset, clip } = drawn;
    while (clip >= this.#joined[dataset]) clip -= this.#joined[dataset++];
    return { dataset, clip };
  }

  #draw(position: number): { dataset: number; clip: number } {
    if (position < this.#counted) {
      this.#taken = this.#datasets.map(() => 0);
      this.#counted = 0;
    }
    while (this.#counted < position) this.#taken[this.#datasetAt(this.#counted++)]++;
    const dataset = this.#datasetAt(position);
    const { count } = this.#datasets[dataset];
    const nth = this.#taken[dataset];
    const epoch = Math.floor(nth / count);
    let cached = this.#orders.get(dataset);
    if (cached?.epoch !== epoch) {
      cached = { epoch, order: epochOrder(this.#seed, dataset, epoch, count) };
      this.#orders.set(dataset, cached);
    }
    return { dataset, clip: cached.order[nth % count] };
  }

  #datasetAt(position: number): number {
    const total = this.#datasets.reduce((sum, { weight }) => sum + weight, 0);
    let left = (draw(this.#seed, 0, position, 2 ** 30) / 2 ** 30) * total;
    for (const [i, { weight }] of this.#datasets.entries()) {
      left -= weight;
      if (left < 0) return i;
    }
    return this.#datasets.length - 1;
  }
}
