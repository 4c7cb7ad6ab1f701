/**
 * What a causal transformer keeps of a run: keys and values of the text, of the first blocks, and of those just before
 * the next one, whose places are used in turn. Its size is that of the configuration, however long the run.
 */
import { type Device, DeviceTensor, spec, type TensorSpec } from '@dwm/core-tensor';
import { cloneAll } from '../pipeline/scratch.ts';
import { seenBlocks } from './causal.ts';
import type { CausalConfig, TransformerConfig } from './config.ts';
import { tokenGrid } from './positions.ts';

/** Sizes that a memory is for. */
export interface CausalMemorySize {
  readonly textLength: number;
  /** Of the latents. */
  readonly height: number;
  readonly width: number;
}

/** Keys and values of every layer by name, `k0`, `v0`, `k1`, …, each [1, tokens, heads, head dim]. */
type NamedKeysValues = Readonly<Record<string, DeviceTensor>>;

export class CausalMemory {
  readonly #causal: CausalConfig;
  readonly #textLength: number;
  /** Tokens of a block. */
  readonly #each: number;
  /** What `causalBlock` reads besides a block. */
  readonly tensors: NamedKeysValues;

  private constructor(causal: CausalConfig, textLength: number, each: number, tensors: NamedKeysValues) {
    this.#causal = causal;
    this.#textLength = textLength;
    this.#each = each;
    this.tensors = tensors;
  }

  /** Shapes of a memory's tensors. */
  static specs(
    config: TransformerConfig,
    causal: CausalConfig,
    size: CausalMemorySize,
  ): Record<string, TensorSpec> {
    const { sink, window } = causal;
    const tokens = size.textLength + (sink + window - 1) * tokensOfBlock(config, causal, size);
    const one = spec([1, tokens, config.num_attention_heads, config.attention_head_dim]);
    const layers = Array.from({ length: config.num_layers }, (_, i) => i);
    return Object.fromEntries(layers.flatMap((i) => [`k${i}`, `v${i}`].map((name) => [name, one])));
  }

  /** An empty memory. */
  static create(
    device: Device,
    config: TransformerConfig,
    causal: CausalConfig,
    size: CausalMemorySize,
  ): CausalMemory {
    const specs = Object.entries(CausalMemory.specs(config, causal, size));
    const tensors = specs.map(([name, own]) => [name, new DeviceTensor(device, own, `memory ${name}`)]);
    const each = tokensOfBlock(config, causal, size);
    return new CausalMemory(causal, size.textLength, each, Object.fromEntries(tensors));
  }

  /** Which tokens block `index` of the run sees besides its own: u32 [1, tokens]. */
  mask(index: number): Uint32Array {
    const mask = new Uint32Array(this.tensors.k0.shape[1]);
    mask.fill(1, 0, this.#textLength);
    const seen = seenBlocks(this.#causal, index).flatMap(([first, end]) =>
      Array.from({ length: Math.min(end, index) - first }, (_, i) => first + i),
    );
    for (const block of seen) {
      const start = this.#placeOf(block);
      mask.fill(1, start, start + this.#each);
    }
    return mask;
  }

  /** Takes over keys and values of the text. */
  rememberText(text: NamedKeysValues): void {
    this.#store(text, 0);
  }

  /** Whether any block to come sees block `index`. */
  keeps(index: number): boolean {
    return index < this.#causal.sink || this.#causal.window > 1;
  }

  /** Takes over those of block `index`, in place of one that no block to come sees. */
  remember(index: number, block: NamedKeysValues): void {
    if (this.keeps(index)) this.#store(block, this.#placeOf(index));
  }

  /** One of its own with the same in it. */
  clone(): CausalMemory {
    return new CausalMemory(this.#causal, this.#textLength, this.#each, cloneAll(this.tensors));
  }

  destroy(): void {
    for (const tensor of Object.values(this.tensors)) tensor.destroy();
  }

  /** First token of a block. */
  #placeOf(block: number): number {
    const { sink, window } = this.#causal;
    const place = block < sink ? block : sink + (block % (window - 1));
    return this.#textLength + place * this.#each;
  }

  #store(given: NamedKeysValues, token: number): void {
    for (const [name, tensor] of Object.entries(this.tensors)) {
      const [, , heads, headDim] = tensor.shape;
      tensor.copyFrom(given[name], { to: token * heads * headDim, count: given[name].elementCount });
    }
  }
}

function tokensOfBlock(
  config: TransformerConfig,
  { block_frames: frames }: CausalConfig,
  { height, width }: CausalMemorySize,
): number {
  const grid = tokenGrid(config, frames, height, width);
  return grid.frames * grid.rows * grid.columns;
}
