/**
 * A clip as a causal network makes it, block after block, each seen by those after it. It is one graph for a whole
 * clip, with the keys and values of blocks that are done, so it costs what one pass over clip and history costs.
 */
import { concat, constant, type Tensor } from '@dwm/core-tensor';
import {
  blockPositions,
  type CausalConfig,
  causalBlock,
  causalText,
  type KeysValues,
  seenBlocks,
  type TransformerConfig,
} from '../transformer/index.ts';
import type { Weights } from '../weights/weights.ts';

/** Latent frames [first, first + count), block `index` of a clip. */
export interface BlockPlace {
  readonly index: number;
  readonly first: number;
  readonly count: number;
}

/** What the transformer is given of a block: [batch, count, in_channels, height, width] and [batch, innerDim]. */
interface BlockInputs {
  readonly hidden: Tensor;
  readonly time: Tensor;
}

interface OwnHistory {
  /** Text embeddings [batch, tokens, text_embed_dim]. */
  readonly text: Tensor;
  /** Of the latents. */
  readonly size: { readonly frames: number; readonly height: number; readonly width: number };
  /** What a block is made from. */
  readonly noisy: (place: BlockPlace) => BlockInputs;
  /** The block's latents [batch, count, channels, height, width], from what the network said of it. */
  readonly latents: (place: BlockPlace, said: Tensor) => Tensor;
  /** What those after it see of it. */
  readonly seen: (place: BlockPlace, latents: Tensor) => BlockInputs;
}

/** @returns latents of the clip [batch, frames, channels, height, width]. */
export function ownHistory(
  config: TransformerConfig,
  causal: CausalConfig,
  weights: Weights,
  { text, size, noisy, latents, seen }: OwnHistory,
): Tensor {
  const ofText = causalText(config, weights, { text });
  const known: KeysValues[] = [];
  const made: Tensor[] = [];
  for (let first = 0; first < size.frames; first += causal.block_frames) {
    const place = { index: made.length, first, count: Math.min(causal.block_frames, size.frames - first) };
    const tables = blockPositions(config, { ...size, frames: place.count }, first);
    const positions = Object.fromEntries(
      Object.entries(tables).map(([name, { data, shape }]) => [name, constant(data, shape)]),
    );
    const visible = seenBlocks(causal, place.index).flatMap(([from, end]) => known.slice(from, end));
    const before = inOneRow([ofText, ...visible]);
    const run = (given: BlockInputs) => causalBlock(config, weights, { ...given, positions, before });
    const own = latents(place, run(noisy(place)).prediction);
    made.push(own);
    known.push(run(seen(place, own)));
  }
  return concat(made, 1);
}

/** The tokens of all, one after the other. */
function inOneRow(all: readonly KeysValues[]): KeysValues {
  const layers = (of: keyof KeysValues) =>
    all[0][of].map((_, layer) =>
      concat(
        all.map((one) => one[of][layer]),
        1,
      ),
    );
  return { keys: layers('keys'), values: layers('values') };
}
