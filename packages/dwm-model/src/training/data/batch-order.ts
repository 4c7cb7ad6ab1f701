/**
 * Which clip comes when, under whose caption. Clips that match (the same room, other hands) come in pairs, one after the
 * other in a batch, and under the same caption: only the hands tell them apart. Some captions are those of another clip.
 * Everything follows from (seed, position).
 */
import { philox4x32 } from '@dwm/core-tensor';
import { MixedSampler } from './sampler.ts';

const KEY = 0x43415054;

interface BatchOrderOptions<Clip> {
  readonly seed: number;
  readonly batchSize: number;
  /** Mixed as by `MixedSampler`. */
  readonly datasets: readonly { readonly clips: readonly Clip[]; readonly weight?: number }[];
  /** What each clip comes in a pair with: one of these; clips that are not in here come alone. */
  readonly matched: ReadonlyMap<Clip, readonly Clip[]>;
  /** Share of clips, or of pairs, that have the caption of any clip of the lists. */
  readonly promptSwap: number;
}

export interface Turn<Clip> {
  readonly clip: Clip;
  /** Whose caption it has. */
  readonly caption: Clip;
  /** Position whose draws decide about its prompt: of a pair, the first one's. */
  readonly promptAt: number;
}

export class BatchOrder<Clip> {
  readonly #options: BatchOrderOptions<Clip>;
  readonly #sampler: MixedSampler;
  readonly #all: readonly Clip[];
  /** The last one that the sampler was asked for: going back is dear. */
  #last: { position: number; clip: Clip } | undefined;

  constructor(options: BatchOrderOptions<Clip>) {
    const { seed, datasets } = options;
    this.#options = options;
    this.#sampler = new MixedSampler(
      seed,
      datasets.map(({ clips, weight }) => ({ count: clips.length, weight })),
    );
    this.#all = datasets.flatMap(({ clips }) => clips);
  }

  /** @param position of the run, from 0; batches begin at multiples of their size. */
  at(position: number): Turn<Clip> {
    const { batchSize, matched } = this.#options;
    const before = (position % batchSize) % 2 === 1 ? this.#drawn(position - 1) : undefined;
    const others = before === undefined ? undefined : matched.get(before);
    if (!others) return this.#alone(position);
    const [pick] = this.#draw(position);
    const clip = others[Math.floor(pick * others.length)];
    return { ...this.#alone(position - 1), clip };
  }

  #alone(position: number): Turn<Clip> {
    const clip = this.#drawn(position);
    const [, swaps, from] = this.#draw(position);
    const caption = swaps < this.#options.promptSwap ? this.#all[Math.floor(from * this.#all.length)] : clip;
    return { clip, caption, promptAt: position };
  }

  #drawn(position: number): Clip {
    if (this.#last?.position !== position) {
      const { dataset, clip } = this.#sampler.at(position);
      this.#last = { position, clip: this.#options.datasets[dataset].clips[clip] };
    }
    return this.#last.clip;
  }

  /** Four numbers in [0, 1). */
  #draw(position: number): number[] {
    const words = philox4x32(
      [position >>> 0, Math.floor(position / 2 ** 32), 0, 0],
      [this.#options.seed >>> 0, KEY],
    );
    return words.map((word) => word / 2 ** 32);
  }
}
