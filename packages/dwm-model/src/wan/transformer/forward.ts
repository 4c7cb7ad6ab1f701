/**
 * The Wan transformer as a function: latents, text and timestep in, velocity out. The video attends to itself and, in
 * every block, to a context of text rows, before which an image-to-video network has the rows of a picture.
 */
import {
  add,
  attention,
  checkpoint,
  concat,
  constant,
  gelu,
  geluTanh,
  InvalidArgumentError,
  layerNorm,
  linear,
  mul,
  permute,
  reshape,
  rmsNorm,
  rotary,
  silu,
  slice,
  type Tensor,
} from '@dwm/core-tensor';
import type { Riflex } from '../../families/family.ts';
import type { TokenGrid } from '../../transformer/grid.ts';
import type { Tap } from '../../transformer/inputs.ts';
import { denseLayer, inRowParts } from '../../weights/layers.ts';
import type { Weights } from '../../weights/weights.ts';
import { IMAGE_TOKENS, type WanConfig } from './config.ts';
import { PATCH_WEIGHT } from './parameters.ts';
import { wanRotaryTables } from './positions.ts';

/** What Wan's transformer is given. */
export interface WanInputs {
  /** Noisy, mask, static, hands [batch, latent frames, inChannels, height, width]. */
  readonly hidden: Tensor;
  /** Text embeddings [batch, textLength, textDim], zeros beyond each prompt; every row is attended to. */
  readonly text: Tensor;
  /** `wanTimeTable` of the timesteps, [batch, freqDim]. */
  readonly time: Tensor;
  /**
   * Features of a picture [batch, 257, imageDim], for image-to-video networks. Without them the first 257 rows of the
   * text take the picture's place, as in DWM's training.
   */
  readonly image?: Tensor;
}

/** How Wan's transformer is run. */
interface WanForwardOptions {
  /** Keep only the blocks' inputs for a backward pass, and compute the rest once more there. */
  readonly recompute?: boolean;
  readonly riflex?: Riflex;
  readonly tap?: Tap;
  /** Parts of the rows that go through a feed-forward one after the other, for less memory. 1 unless told. */
  readonly feedForwardParts?: number;
}

const IMAGE_NORM_EPS = 1e-5;

/**
 * What the blocks hand on, `x` [batch, tokens, dim], and what all of them read: the timestep's modulations
 * [batch, 6 dim] and the context [batch, rows, dim]; `embedded` [batch, dim] is for the end.
 */
export type WanState = Readonly<Record<'x' | 'projected' | 'context' | 'embedded', Tensor>>;

/** Sizes that the network's parts are made for. */
interface WanSizes extends Pick<WanForwardOptions, 'riflex' | 'tap' | 'feedForwardParts'> {
  /** [batch, latent frames, inChannels, height, width]. */
  readonly hidden: readonly number[];
}

/** The timestep as the end reads it, [batch, dim], and as the blocks do, [batch, 6 dim]. @param time [batch, freqDim]. */
export function wanTime(weights: Weights, time: Tensor): Pick<WanState, 'embedded' | 'projected'> {
  const dense = (x: Tensor, name: string) => denseLayer(weights, x, name);
  const embedded = dense(silu(dense(time, 'time_embedding.0')), 'time_embedding.2');
  return { embedded, projected: dense(silu(embedded), 'time_projection.1') };
}

/** The network as what comes before its blocks, a block, and what comes after, for weights that come and go. */
export function wanParts(
  config: WanConfig,
  { hidden: hiddenShape, riflex, tap = () => {}, feedForwardParts = 1 }: WanSizes,
) {
  const { dim, heads, headDim, patch, eps } = config;
  const [batch, frames, channels, height, width] = hiddenShape;
  if (channels !== config.inChannels) {
    throw new InvalidArgumentError('hidden', `expected ${config.inChannels} channels, got ${channels}`);
  }
  const grid: TokenGrid = { frames, rows: height / patch, columns: width / patch };
  const tokens = grid.frames * grid.rows * grid.columns;
  const affine = (weights: Weights, x: Tensor, name: string, ownEps: number) =>
    layerNorm(x, { eps: ownEps, gamma: weights.get(`${name}.weight`), beta: weights.get(`${name}.bias`) });

  const begin = (weights: Weights, { hidden, text, time, image }: WanInputs): WanState => {
    const dense = (x: Tensor, name: string) => denseLayer(weights, x, name);
    const x = linear(
      patchify(hidden, grid, patch),
      reshape(weights.get(PATCH_WEIGHT), [dim, -1]),
      weights.get('patch_embedding.bias'),
    );
    tap('after_patch_embedding', x);

    const { embedded, projected } = wanTime(weights, time);
    tap('temb', embedded);
    tap('timestep_proj', projected);

    let context = dense(geluTanh(dense(text, 'text_embedding.0')), 'text_embedding.2');
    tap('text_embedded', context);
    if (image) {
      const wide = gelu(dense(affine(weights, image, 'img_emb.proj.0', IMAGE_NORM_EPS), 'img_emb.proj.1'));
      const picture = affine(weights, dense(wide, 'img_emb.proj.3'), 'img_emb.proj.4', IMAGE_NORM_EPS);
      tap('image_embedded', picture);
      context = concat([picture, context], 1);
    }
    return { x, projected, context, embedded };
  };

  const tables = wanRotaryTables(config, grid, riflex);
  const cos = constant(tables.cos, [tokens, headDim]);
  const sin = constant(tables.sin, [tokens, headDim]);
  /** Part `index` of a table of modulations, with what the timestep adds to it: [batch, 1, dim]. */
  const part = (table: Tensor, given: Tensor, index: number) =>
    add(slice(table, 1, index, 1), reshape(given, [batch, 1, dim]));
  const ofTime = (given: Tensor, index: number) => slice(given, 1, index * dim, dim);
  const modulate = (y: Tensor, shift: Tensor, scale: Tensor) =>
    add(mul(layerNorm(y, { eps }), add(scale, 1)), shift);
  const inHeads = (y: Tensor) => reshape(y, [batch, y.shape[1], heads, headDim]);
  const together = (y: Tensor) => reshape(y, [batch, y.shape[1], dim]);

  const block = (
    weights: Weights,
    index: number,
    { x, projected, context }: Pick<WanState, 'x' | 'projected' | 'context'>,
  ): Tensor => {
    const name = `blocks.${index}`;
    const dense = (y: Tensor, layer: string) => denseLayer(weights, y, layer);
    /** Queries or keys, normalized over all heads together. */
    const normed = (y: Tensor, layer: string) =>
      inHeads(config.qkNorm ? rmsNorm(y, { eps, gamma: weights.get(`${layer}.weight`) }) : y);
    const table = weights.get(`${name}.modulation`);
    const modulation = (i: number) => part(table, ofTime(projected, i), i);

    const own = `${name}.self_attn`;
    const a = modulate(x, modulation(0), modulation(1));
    const q = rotary(normed(dense(a, `${own}.q`), `${own}.norm_q`), cos, sin, 0);
    const k = rotary(normed(dense(a, `${own}.k`), `${own}.norm_k`), cos, sin, 0);
    const heard = together(attention(q, k, inHeads(dense(a, `${own}.v`))));
    const afterSelf = add(x, mul(modulation(2), dense(heard, `${own}.o`)));

    const cross = `${name}.cross_attn`;
    const c = config.crossNorm ? affine(weights, afterSelf, `${name}.norm3`, eps) : afterSelf;
    const query = normed(dense(c, `${cross}.q`), `${cross}.norm_q`);
    const attend = (rows: Tensor, suffix: string) =>
      attention(
        query,
        normed(dense(rows, `${cross}.k${suffix}`), `${cross}.norm_k${suffix}`),
        inHeads(dense(rows, `${cross}.v${suffix}`)),
      );
    const rows = context.shape[1];
    // By position, whatever stands there.
    const split = config.imageBranch ? Math.min(IMAGE_TOKENS, rows) : 0;
    const answers: Tensor[] = [];
    if (split < rows) answers.push(attend(slice(context, 1, split, rows - split), ''));
    if (split > 0) answers.push(attend(slice(context, 1, 0, split), '_img'));
    const answer = answers.reduce((left, right) => add(left, right));
    const afterCross = add(afterSelf, dense(together(answer), `${cross}.o`));

    const f = modulate(afterCross, modulation(3), modulation(4));
    const fed = inRowParts(f, feedForwardParts, (y) =>
      dense(geluTanh(dense(y, `${name}.ffn.0`)), `${name}.ffn.2`),
    );
    return add(afterCross, mul(modulation(5), fed));
  };

  const end = (weights: Weights, { x, embedded }: Pick<WanState, 'x' | 'embedded'>): Tensor => {
    const table = weights.get('head.modulation');
    const out = modulate(x, part(table, embedded, 0), part(table, embedded, 1));
    return unpatchify(denseLayer(weights, out, 'head.head'), grid, patch, config.outChannels);
  };
  return { begin, block, end };
}

/** @returns the velocity [batch, latent frames, outChannels, height, width]. */
export function wanTransformer(
  config: WanConfig,
  weights: Weights,
  inputs: WanInputs,
  { recompute = false, tap = () => {}, ...options }: WanForwardOptions = {},
): Tensor {
  const { begin, block, end } = wanParts(config, { ...options, tap, hidden: inputs.hidden.shape });
  const state = begin(weights, inputs);
  const { projected, context, embedded } = state;
  let { x } = state;
  for (let i = 0; i < config.layers; i++) {
    const run = (given: Tensor, time: Tensor, read: Tensor) =>
      block(weights, i, { x: given, projected: time, context: read });
    x = recompute ? checkpoint(run, [x, projected, context]) : run(x, projected, context);
    tap(`after_block${i}`, x);
  }
  return end(weights, { x, embedded });
}

/** Latents to rows of patch values [batch, tokens, channels x p x p]. */
function patchify(hidden: Tensor, { frames, rows, columns }: TokenGrid, p: number): Tensor {
  const [batch, , channels] = hidden.shape;
  const split = reshape(hidden, [batch, frames, channels, rows, p, columns, p]);
  return reshape(permute(split, [0, 1, 3, 5, 2, 4, 6]), [batch, frames * rows * columns, channels * p * p]);
}

/** Rows of patch values, channels last, back to latents. */
function unpatchify(x: Tensor, { frames, rows, columns }: TokenGrid, p: number, channels: number): Tensor {
  const split = reshape(x, [x.shape[0], frames, rows, columns, p, p, channels]);
  return reshape(permute(split, [0, 1, 6, 2, 4, 3, 5]), [
    x.shape[0],
    frames,
    channels,
    rows * p,
    columns * p,
  ]);
}
