/**
 * The CogVideoX transformer as a function: latents, text and timestep in, prediction out. Text and video
 * tokens live in one tensor [batch, text + video, dim] throughout; where the two are modulated differently,
 * the row decides (`splitAt`), so nothing is concatenated or split between blocks.
 */
import {
  add,
  attention,
  checkpoint,
  concat,
  constant,
  gelu,
  geluTanh,
  layerNorm,
  linear,
  mul,
  permute,
  reshape,
  rotary,
  silu,
  slice,
  splitAt,
  type Tensor,
} from '@dwm/core-tensor';
import { denseLayer, inRowParts } from '../weights/layers.ts';
import type { Weights } from '../weights/weights.ts';
import type { TransformerConfig } from './config.ts';
import type { TokenGrid } from './grid.ts';
import { rotaryTables, sincosTable, tokenGrid } from './positions.ts';

/** What CogVideoX's transformer is given. */
export interface TransformerInputs {
  /** [batch, latent frames, in_channels, height, width]. */
  readonly hidden: Tensor;
  /** Text embeddings [batch, tokens, text_embed_dim]. */
  readonly text: Tensor;
  /** `timestepTable` of the timesteps, [batch, innerDim]. */
  readonly time: Tensor;
  /** `timestepTable` of the ofs value, [1, ofs_embed_dim], for models that have it. */
  readonly ofs?: Tensor;
}

/** Called with named intermediates while tracing, for tests that compare them. */
export type Tap = (name: string, tensor: Tensor) => void;

const QK_NORM_EPS = 1e-6;

/**
 * What the blocks hand on, [batch, text + video, dim], and the conditioning that all of them read, [batch, time dim].
 */
export type TransformerState = Readonly<Record<'x' | 'conditioning', Tensor>>;

/** Sizes that the network's parts are made for. */
export interface TransformerSizes {
  /** [batch, latent frames, in_channels, height, width]. */
  readonly hidden: readonly number[];
  readonly textLength: number;
  /** Parts of the rows that go through a feed-forward one after the other, for less memory. 1 unless told. */
  readonly feedForwardParts?: number;
}

/** The network as what comes before its blocks, a block, and what comes after, for weights that come and go. */
export function transformerParts(
  config: TransformerConfig,
  { hidden: hiddenShape, textLength, feedForwardParts = 1 }: TransformerSizes,
  tap: Tap = () => {},
) {
  const [batch, frames, channels, height, width] = hiddenShape;
  if (channels !== config.in_channels) {
    throw new Error(`transformer: expected ${config.in_channels} input channels, got ${channels}`);
  }
  const dim = config.innerDim;
  const grid = tokenGrid(config, frames, height, width);
  const videoLength = grid.frames * grid.rows * grid.columns;
  const length = textLength + videoLength;
  const layers = (weights: Weights) => {
    const maybe = (name: string) => (weights.has(name) ? weights.get(name) : undefined);
    const dense = (x: Tensor, name: string) => denseLayer(weights, x, name);
    const norm = (x: Tensor, name: string, eps = config.norm_eps) =>
      layerNorm(x, { eps, gamma: maybe(`${name}.weight`), beta: maybe(`${name}.bias`) });
    return { maybe, dense, norm };
  };

  const begin = (weights: Weights, { hidden, text, time, ofs }: TransformerInputs): TransformerState => {
    const { maybe, dense } = layers(weights);
    const mlp = (x: Tensor, name: string) => dense(silu(dense(x, `${name}.linear_1`)), `${name}.linear_2`);
    let embedding = mlp(time, 'time_embedding');
    tap('after_time_embedding', embedding);
    if (config.ofs_embed_dim !== null) {
      if (!ofs) throw new Error('transformer: this model needs an ofs value');
      const extra = mlp(ofs, 'ofs_embedding');
      tap('after_ofs_embedding', extra);
      embedding = add(embedding, extra);
    }
    const video = linear(
      patchify(config, hidden, grid),
      reshape(weights.get('patch_embed.proj.weight'), [dim, -1]),
      maybe('patch_embed.proj.bias'),
    );
    const joint = concat([dense(text, 'patch_embed.text_proj'), video], 1);
    const x = addPositions(config, joint, textLength, grid, maybe('patch_embed.pos_embedding'));
    tap('after_patch_embed', x);
    return { x, conditioning: silu(embedding) };
  };

  const tables = config.use_rotary_positional_embeddings ? rotaryTables(config, grid) : undefined;
  const tableShape = [videoLength, config.attention_head_dim];
  const cos = tables && constant(tables.cos, tableShape);
  const sin = tables && constant(tables.sin, tableShape);
  const rotate = (q: Tensor) => (cos && sin ? rotary(q, cos, sin, textLength) : q);
  const heads = (y: Tensor) =>
    reshape(y, [batch, length, config.num_attention_heads, config.attention_head_dim]);
  const activation = config.activation_fn === 'gelu' ? gelu : geluTanh;

  const block = (weights: Weights, index: number, { x, conditioning }: TransformerState): Tensor => {
    const { dense, norm } = layers(weights);
    const name = `transformer_blocks.${index}`;
    /** Shift, scale and gate of an adaptive norm: one set for text rows, one for video rows. */
    const modulation = (layer: string) => {
      const all = dense(conditioning, `${layer}.linear`);
      const part = (i: number) => reshape(slice(all, 1, i * dim, dim), [batch, 1, dim]);
      const joint = (ofVideo: number, ofText: number) =>
        splitAt([batch, length, dim], 1, textLength, part(ofText), part(ofVideo));
      return { shift: joint(0, 3), scale: joint(1, 4), gate: joint(2, 5) };
    };
    const first = modulation(`${name}.norm1`);
    const a = add(mul(norm(x, `${name}.norm1.norm`), add(first.scale, 1)), first.shift);
    const q = rotate(norm(heads(dense(a, `${name}.attn1.to_q`)), `${name}.attn1.norm_q`, QK_NORM_EPS));
    const k = rotate(norm(heads(dense(a, `${name}.attn1.to_k`)), `${name}.attn1.norm_k`, QK_NORM_EPS));
    const v = heads(dense(a, `${name}.attn1.to_v`));
    const attended = reshape(attention(q, k, v), [batch, length, dim]);
    const between = add(x, mul(first.gate, dense(attended, `${name}.attn1.to_out.0`)));

    const second = modulation(`${name}.norm2`);
    const f = add(mul(norm(between, `${name}.norm2.norm`), add(second.scale, 1)), second.shift);
    const fed = inRowParts(f, feedForwardParts, (rows) =>
      dense(activation(dense(rows, `${name}.ff.net.0.proj`)), `${name}.ff.net.2`),
    );
    return add(between, mul(second.gate, fed));
  };

  const end = (weights: Weights, { x, conditioning }: TransformerState): Tensor => {
    const { dense, norm } = layers(weights);
    const last = slice(norm(x, 'norm_final'), 1, textLength, videoLength);
    const all = dense(conditioning, 'norm_out.linear');
    const shift = reshape(slice(all, 1, 0, dim), [batch, 1, dim]);
    const scale = reshape(slice(all, 1, dim, dim), [batch, 1, dim]);
    const out = add(mul(norm(last, 'norm_out.norm'), add(scale, 1)), shift);
    tap('after_norm_out', out);
    return unpatchify(config, dense(out, 'proj_out'), grid, frames);
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
  const sizes = { hidden: inputs.hidden.shape, textLength, feedForwardParts };
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

/** Latents to rows of patch values [batch, tokens, channels x (pt) x p x p]. */
function patchify(config: TransformerConfig, hidden: Tensor, grid: TokenGrid): Tensor {
  const [batch, , channels] = hidden.shape;
  const { patch_size: p, patch_size_t } = config;
  const pt = patch_size_t ?? 1;
  const split = reshape(hidden, [batch, grid.frames, pt, channels, grid.rows, p, grid.columns, p]);
  const tokens = permute(split, [0, 1, 4, 6, 3, 2, 5, 7]);
  return reshape(tokens, [batch, grid.frames * grid.rows * grid.columns, channels * pt * p * p]);
}

/** Rows of patch values back to latents. */
function unpatchify(config: TransformerConfig, x: Tensor, grid: TokenGrid, frames: number): Tensor {
  const [batch] = x.shape;
  const { patch_size: p, patch_size_t, out_channels: channels } = config;
  const pt = patch_size_t ?? 1;
  const split = reshape(x, [batch, grid.frames, grid.rows, grid.columns, channels, pt, p, p]);
  const latents = permute(split, [0, 1, 5, 4, 2, 6, 3, 7]);
  return reshape(latents, [batch, frames, channels, grid.rows * p, grid.columns * p]);
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
      throw new Error(
        `transformer: learned positions are for ${learned.shape[1]} tokens, got ${x.shape[1]}; use the size in config.json`,
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
