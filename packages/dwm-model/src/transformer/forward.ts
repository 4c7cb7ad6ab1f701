/**
 * The CogVideoX transformer as a function: latents, text and timestep in, prediction out. Text and video
 * tokens live in one tensor [batch, text + video, dim] throughout; where the two are modulated differently,
 * the row decides (`splitAt`), so nothing is concatenated or split between blocks.
 */
import {
  add,
  checkpoint,
  concat,
  constant,
  InvalidArgumentError,
  reshape,
  slice,
  splitAt,
  type Tensor,
} from '@dwm/core-tensor';
import type { Weights } from '../weights/weights.ts';
import { causalParts } from './causal.ts';
import type { TransformerConfig } from './config.ts';
import type { TokenGrid } from './grid.ts';
import type { Tap, TransformerInputs, TransformerSizes, TransformerState } from './inputs.ts';
import { partOf, rotation, transformerLayers, unpatchify } from './layers.ts';
import { rotaryTables, sincosTable, tokenGrid } from './positions.ts';

/** The network as what comes before its blocks, a block, and what comes after, for weights that come and go. */
export function transformerParts(config: TransformerConfig, sizes: TransformerSizes, tap: Tap = () => {}) {
  const { textLength, feedForwardParts = 1 } = sizes;
  const [batch, frames, channels, height, width] = sizes.hidden;
  if (channels !== config.in_channels) {
    throw new InvalidArgumentError('hidden', `expected ${config.in_channels} channels, got ${channels}`);
  }
  if (config.causal) return causalParts(config, config.causal, sizes);
  const dim = config.innerDim;
  const grid = tokenGrid(config, frames, height, width);
  const videoLength = grid.frames * grid.rows * grid.columns;
  const length = textLength + videoLength;

  const begin = (weights: Weights, { hidden, text, ...times }: TransformerInputs): TransformerState => {
    const { maybe, dense, patches, conditioning } = transformerLayers(config, weights);
    const given = conditioning(times, tap);
    const joint = concat([dense(text, 'patch_embed.text_proj'), patches(hidden, grid)], 1);
    const x = addPositions(config, joint, textLength, grid, maybe('patch_embed.pos_embedding'));
    tap('after_patch_embed', x);
    return { x, conditioning: given };
  };

  const tables = config.use_rotary_positional_embeddings ? rotaryTables(config, grid) : undefined;
  const tableShape = [videoLength, config.attention_head_dim];
  const rotate = rotation(
    tables && { cos: constant(tables.cos, tableShape), sin: constant(tables.sin, tableShape) },
    textLength,
  );

  const block = (weights: Weights, index: number, { x, conditioning }: TransformerState): Tensor => {
    const layers = transformerLayers(config, weights);
    /** One set for text rows, one for video rows. */
    const modulation = (layer: string) => {
      const all = layers.dense(conditioning, layer);
      const part = (nth: number) => reshape(partOf(all, nth, dim), [batch, 1, dim]);
      const joint = (ofVideo: number, ofText: number) =>
        splitAt([batch, length, dim], 1, textLength, part(ofText), part(ofVideo));
      return { shift: joint(0, 3), scale: joint(1, 4), gate: joint(2, 5) };
    };
    return layers.block(index, x, { modulation, rotate, feedForwardParts });
  };

  const end = (weights: Weights, { x, conditioning }: TransformerState): Tensor => {
    const { dense, finalNorm, finish } = transformerLayers(config, weights);
    const last = slice(finalNorm(x), 1, textLength, videoLength);
    const all = dense(conditioning, 'norm_out.linear');
    const out = finish(last, (nth) => reshape(partOf(all, nth, dim), [batch, 1, dim]), tap);
    return unpatchify(config, out, grid, frames);
  };
  return { begin, block, end };
}

/**
 * @param recompute keep only the blocks' inputs for a backward pass, and compute the rest once more there.
 * @returns the prediction [batch, latent frames, out_channels, height, width].
 */
export function transformer(
  config: TransformerConfig,
  weights: Weights,
  inputs: TransformerInputs,
  tap: Tap = () => {},
  recompute = false,
  feedForwardParts = 1,
): Tensor {
  const textLength = inputs.text.shape[1];
  const history = inputs.history !== undefined;
  const sizes = { hidden: inputs.hidden.shape, textLength, feedForwardParts, history };
  const { begin, block, end } = transformerParts(config, sizes, tap);
  let state = begin(weights, inputs);
  const { conditioning } = state;
  for (let i = 0; i < config.num_layers; i++) {
    const run = (x: Tensor, given: Tensor) => block(weights, i, { x, conditioning: given });
    const x = recompute ? checkpoint(run, [state.x, conditioning]) : run(state.x, conditioning);
    tap(`after_block${i}.hidden`, slice(x, 1, textLength, x.shape[1] - textLength));
    tap(`after_block${i}.encoder`, slice(x, 1, 0, textLength));
    state = { x, conditioning };
  }
  return end(weights, state);
}

/** Absolute positions, for models without (or besides) rotary ones: nothing is added to text rows. */
function addPositions(
  config: TransformerConfig,
  x: Tensor,
  textLength: number,
  grid: TokenGrid,
  learned: Tensor | undefined,
): Tensor {
  if (learned) {
    if (learned.shape[1] !== x.shape[1]) {
      throw new InvalidArgumentError(
        'hidden',
        `learned positions are for ${learned.shape[1]} tokens, got ${x.shape[1]}; use the size in config.json`,
      );
    }
    return add(x, learned);
  }
  if (config.use_rotary_positional_embeddings) return x;
  const dim = config.innerDim;
  const table = sincosTable(config, grid);
  const joint = new Float32Array(textLength * dim + table.length);
  joint.set(table, textLength * dim);
  return add(x, constant(joint, [1, joint.length / dim, dim]));
}
