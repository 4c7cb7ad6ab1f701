/**
 * A clip as a causal network makes it, block after block, each seen by those after it. It is one graph for a whole
 * clip, with the keys and values of blocks that are done, so it costs what one pass over clip and history costs.
 */
import { add, concat, constant, mul, reshape, slice, sub, type Tensor } from '@dwm/core-tensor';
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

/** Latent frames [first, first + count) of a clip. */
export interface BlockPlace {
  readonly first: number;
  readonly count: number;
}

/** The latent frames of a place; all if left out. */
export const partAt = (x: Tensor, place?: BlockPlace): Tensor =>
  place ? slice(x, 1, place.first, place.count) : x;

interface ClipInputs {
  /** What the transformer is given of the clip [batch, frames, in_channels, height, width]. */
  readonly hidden: Tensor;
  /** Text embeddings [batch, tokens, text_embed_dim]. */
  readonly text: Tensor;
  /** Tables of what each block is told, [batch, blocks, innerDim], and of what it is seen as. */
  readonly time: Tensor;
  readonly historyTime: Tensor;
  /** The clip's own latents [batch, frames, channels, height, width]. */
  readonly video: Tensor;
  /** [batch, blocks]: 1 where the network's own block takes the place of the clip's. */
  readonly own: Tensor;
  /** Latents of a block, from what the network said of it. */
  readonly clean: (said: Tensor, place: BlockPlace) => Tensor;
  /** What the transformer is given of latents that those after them see. */
  readonly seen: (latents: Tensor, place: BlockPlace) => Tensor;
}

/** @returns latents of the clip [batch, frames, channels, height, width]. */
export function ownHistory(
  config: TransformerConfig,
  causal: CausalConfig,
  weights: Weights,
  { hidden, text, time, historyTime, video, own, clean, seen }: ClipInputs,
): Tensor {
  const [batch, frames, , height, width] = video.shape;
  const ofText = causalText(config, weights, { text });
  const known: KeysValues[] = [];
  const made: Tensor[] = [];
  for (let first = 0; first < frames; first += causal.block_frames) {
    const index = made.length;
    const place = { first, count: Math.min(causal.block_frames, frames - first) };
    const tables = blockPositions(config, { frames: place.count, height, width }, first);
    const positions = Object.fromEntries(
      Object.entries(tables).map(([name, { data, shape }]) => [name, constant(data, shape)]),
    );
    const visible = seenBlocks(causal, index).flatMap(([from, end]) => known.slice(from, end));
    const before = inOneRow([ofText, ...visible]);
    /** Of the block as it is given here, told its row of `told`. */
    const run = (given: Tensor, told: Tensor) =>
      causalBlock(config, weights, {
        hidden: given,
        time: reshape(slice(told, 1, index, 1), [batch, config.innerDim]),
        positions,
        before,
      });
    const truth = partAt(video, place);
    const said = clean(run(partAt(hidden, place), time).prediction, place);
    const isOwn = reshape(slice(own, 1, index, 1), [batch, 1, 1, 1, 1]);
    const latents = add(truth, mul(isOwn, sub(said, truth)));
    made.push(latents);
    known.push(run(seen(latents, place), historyTime));
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
