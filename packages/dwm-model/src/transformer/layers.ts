/** What the CogVideoX transformer is made of, whichever rows it has and whatever its tokens attend to. */
import {
  add,
  attention,
  gelu,
  geluTanh,
  InvalidArgumentError,
  layerNorm,
  linear,
  mul,
  permute,
  reshape,
  rotary,
  silu,
  slice,
  type Tensor,
} from '@dwm/core-tensor';
import { denseLayer, inRowParts } from '../weights/layers.ts';
import type { Weights } from '../weights/weights.ts';
import type { TransformerConfig } from './config.ts';
import type { TokenGrid } from './grid.ts';
import type { Tap, TimeInputs } from './inputs.ts';

const QK_NORM_EPS = 1e-6;

/** Shift, scale and gate of an adaptive norm; each broadcasts to the rows. */
export interface Modulation {
  readonly shift: Tensor;
  readonly scale: Tensor;
  readonly gate: Tensor;
}

/** How rows go through a block. */
interface BlockRows {
  /** Of the adaptive norm whose linear layer has this name. */
  readonly modulation: (layer: string) => Modulation;
  /** Places queries or keys [batch, rows, heads, head dim]. */
  readonly rotate: (x: Tensor) => Tensor;
  /** From queries, keys and values [batch, rows, heads, head dim]; `attention` of all to all if left out. */
  readonly attend?: (q: Tensor, k: Tensor, v: Tensor) => Tensor;
  /** Parts of the rows that go through a feed-forward one after the other. 1 unless told. */
  readonly feedForwardParts?: number;
}

/** The layers, with their weights. */
export function transformerLayers(config: TransformerConfig, weights: Weights) {
  const dim = config.innerDim;
  const maybe = (name: string) => (weights.has(name) ? weights.get(name) : undefined);
  const dense = (x: Tensor, name: string) => denseLayer(weights, x, name);
  const norm = (x: Tensor, name: string, eps = config.norm_eps) =>
    layerNorm(x, { eps, gamma: maybe(`${name}.weight`), beta: maybe(`${name}.bias`) });
  const mlp = (x: Tensor, name: string) => dense(silu(dense(x, `${name}.linear_1`)), `${name}.linear_2`);
  const activation = config.activation_fn === 'gelu' ? gelu : geluTanh;

  const timeEmbedding = ({ time, ofs }: TimeInputs, tap: Tap = () => {}): Tensor => {
    const embedding = mlp(time, 'time_embedding');
    tap('after_time_embedding', embedding);
    if (config.ofs_embed_dim === null) return embedding;
    if (!ofs) throw new InvalidArgumentError('ofs', 'this model needs a value');
    const extra = mlp(ofs, 'ofs_embedding');
    tap('after_ofs_embedding', extra);
    return add(embedding, extra);
  };

  return {
    maybe,
    dense,

    /** What the timestep is to the blocks, before its activation: [..., time dim]. */
    timeEmbedding,

    /** @returns [..., time dim]. */
    conditioning: (inputs: TimeInputs, tap?: Tap): Tensor => silu(timeEmbedding(inputs, tap)),

    /** Latents [batch, latent frames, in_channels, height, width] to rows [batch, tokens, dim]. */
    patches: (hidden: Tensor, grid: TokenGrid): Tensor =>
      linear(
        patchify(config, hidden, grid),
        reshape(weights.get('patch_embed.proj.weight'), [dim, -1]),
        maybe('patch_embed.proj.bias'),
      ),

    /** Rows [batch, rows, dim] through block `index`. */
    block(
      index: number,
      x: Tensor,
      { modulation, rotate, attend = attention, feedForwardParts = 1 }: BlockRows,
    ) {
      const [batch, length] = x.shape;
      const name = `transformer_blocks.${index}`;
      const heads = (y: Tensor) =>
        reshape(y, [batch, length, config.num_attention_heads, config.attention_head_dim]);
      const first = modulation(`${name}.norm1.linear`);
      const a = add(mul(norm(x, `${name}.norm1.norm`), add(first.scale, 1)), first.shift);
      const q = rotate(norm(heads(dense(a, `${name}.attn1.to_q`)), `${name}.attn1.norm_q`, QK_NORM_EPS));
      const k = rotate(norm(heads(dense(a, `${name}.attn1.to_k`)), `${name}.attn1.norm_k`, QK_NORM_EPS));
      const v = heads(dense(a, `${name}.attn1.to_v`));
      const attended = reshape(attend(q, k, v), [batch, length, dim]);
      const between = add(x, mul(first.gate, dense(attended, `${name}.attn1.to_out.0`)));

      const second = modulation(`${name}.norm2.linear`);
      const f = add(mul(norm(between, `${name}.norm2.norm`), add(second.scale, 1)), second.shift);
      const fed = inRowParts(f, feedForwardParts, (rows) =>
        dense(activation(dense(rows, `${name}.ff.net.0.proj`)), `${name}.ff.net.2`),
      );
      return add(between, mul(second.gate, fed));
    },

    /**
     * The last two layers, for rows [batch, rows, dim] of video after `finalNorm`.
     * @param part of the last adaptive norm, 0 its shift and 1 its scale, as it broadcasts to the rows.
     * @returns rows of patch values.
     */
    finish(last: Tensor, part: (nth: 0 | 1) => Tensor, tap: Tap = () => {}) {
      const out = add(mul(norm(last, 'norm_out.norm'), add(part(1), 1)), part(0));
      tap('after_norm_out', out);
      return dense(out, 'proj_out');
    },

    finalNorm: (x: Tensor): Tensor => norm(x, 'norm_final'),
  };
}

/** Turns queries and keys by tables [rows, head dim], from row `firstRow` on; nothing for models without. */
export const rotation =
  (tables: { cos: Tensor; sin: Tensor } | undefined, firstRow = 0) =>
  (x: Tensor): Tensor =>
    tables ? rotary(x, tables.cos, tables.sin, firstRow) : x;

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
export function unpatchify(config: TransformerConfig, x: Tensor, grid: TokenGrid, frames: number): Tensor {
  const [batch] = x.shape;
  const { patch_size: p, patch_size_t, out_channels: channels } = config;
  const pt = patch_size_t ?? 1;
  const split = reshape(x, [batch, grid.frames, grid.rows, grid.columns, channels, pt, p, p]);
  const latents = permute(split, [0, 1, 5, 4, 2, 6, 3, 7]);
  return reshape(latents, [batch, frames, channels, grid.rows * p, grid.columns * p]);
}

/** The `nth` of the parts, `dim` wide, that the last dimension of `all` consists of. */
export const partOf = (all: Tensor, nth: number, dim: number): Tensor =>
  slice(all, all.shape.length - 1, nth * dim, dim);
