/** `config.json` of a Wan transformer, as Wan, VideoX-Fun and DWM write it, or as diffusers does. */
import { InvalidFileError } from '@dwm/core-tensor';
import * as z from 'zod';
import { layerCount, readConfig } from '../../weights/config.ts';

const positive = z.number().int().positive();
const patchSize = z
  .tuple([z.literal(1), positive, positive])
  .refine(([, rows, columns]) => rows === columns, 'expected [1, p, p]')
  .default([1, 2, 2]);

const nativeSchema = z.object({
  model_type: z
    .enum(['t2v', 'i2v'], {
      error: ({ input }) =>
        `expected i2v or t2v, of Wan 2.1 Fun InP, got ${JSON.stringify(input)}; VACE and Wan 2.2 are not supported`,
    })
    .default('t2v'),
  patch_size: patchSize,
  text_len: positive.default(512),
  /** Channels of the base; `in_channels` are those of the network in the file, DWM's hands included. */
  in_dim: positive.default(16),
  in_channels: positive.nullable().default(null),
  dim: positive,
  hidden_size: positive.nullable().default(null),
  ffn_dim: positive,
  freq_dim: positive.multipleOf(2).default(256),
  text_dim: positive.default(4096),
  out_dim: positive.default(16),
  num_heads: positive,
  num_layers: layerCount,
  qk_norm: z.boolean().default(true),
  cross_attn_norm: z.boolean().default(true),
  /** Which attention reads the context, where it is not the one of `model_type`. */
  cross_attn_type: z.enum(['cross_attn', 't2v_cross_attn', 'i2v_cross_attn']).nullable().default(null),
  eps: z.number().positive().default(1e-6),
  /** Frames a second that one step of the frame positions stands for; 16 is how Wan was trained. */
  fps: z.number().positive().default(16),
  original_in_channels: positive.nullable().default(null),
  condition_channels: z.number().int().nonnegative().nullable().default(null),
  window_size: z.tuple([z.literal(-1), z.literal(-1)]).default([-1, -1]),
  add_control_adapter: z.literal(false).default(false),
  add_ref_conv: z.literal(false).default(false),
  /** Of the two parts that must be off. */
  in_dim_control_adapter: z.unknown().optional(),
  downscale_factor_control_adapter: z.unknown().optional(),
  in_dim_ref_conv: z.unknown().optional(),
});

const diffusersSchema = z.object({
  patch_size: patchSize,
  num_attention_heads: positive,
  attention_head_dim: positive,
  in_channels: positive,
  out_channels: positive,
  text_dim: positive,
  freq_dim: positive.multipleOf(2),
  ffn_dim: positive,
  num_layers: layerCount,
  cross_attn_norm: z.boolean().default(true),
  qk_norm: z.literal('rms_norm_across_heads').nullable().default('rms_norm_across_heads'),
  eps: z.number().positive().default(1e-6),
  image_dim: positive.nullable().default(null),
  added_kv_proj_dim: positive.nullable().default(null),
  /** Longest clip in tokens an axis; the tables here are made for every size. */
  rope_max_seq_len: positive.default(1024),
  pos_embed_seq_len: z.null().default(null),
});

/** Sizes of a Wan transformer. */
export interface WanConfig {
  /** How the file names its weights. */
  readonly names: 'native' | 'diffusers';
  readonly inChannels: number;
  readonly outChannels: number;
  /** Width of the residual stream: heads x headDim. */
  readonly dim: number;
  readonly heads: number;
  readonly headDim: number;
  readonly ffnDim: number;
  readonly layers: number;
  readonly freqDim: number;
  readonly textDim: number;
  /** Rows that the text is padded to with zeros. */
  readonly textLength: number;
  /** Edge of a patch in latent pixels. */
  readonly patch: number;
  readonly qkNorm: boolean;
  readonly crossNorm: boolean;
  /** The first rows of the context pass through keys and values of their own. */
  readonly imageBranch: boolean;
  /** Width of the picture's features, where the network takes any. */
  readonly imageDim: number | undefined;
  readonly eps: number;
  readonly fps: number;
}

/** Rows of the context that belong to the picture in an image-to-video network: CLIP's 16 x 16 patches and its class. */
export const IMAGE_TOKENS = 257;

/** Width of CLIP's features in the published models. */
const CLIP_WIDTH = 1280;

const isDiffusers = (json: unknown): boolean =>
  typeof json === 'object' && json !== null && 'num_attention_heads' in json;

/** Whether a `config.json` is of a Wan transformer. */
export const isWanConfig = (json: unknown): boolean =>
  /^Wan/.test(String((json as { _class_name?: unknown } | null)?._class_name ?? '')) ||
  (typeof json === 'object' && json !== null && 'ffn_dim' in json && 'freq_dim' in json);

/** @throws InvalidFileError naming the key. */
export function readWanConfig(json: unknown, file: string): WanConfig {
  const config = isDiffusers(json) ? fromDiffusers(json, file) : fromNative(json, file);
  const { dim, heads } = config;
  if (dim % heads !== 0 || (dim / heads) % 4 !== 0) {
    throw new InvalidFileError(
      file,
      `num_heads: ${heads} heads do not divide a width of ${dim} into multiples of 4`,
      { field: 'num_heads' },
    );
  }
  return config;
}

function fromNative(json: unknown, file: string): WanConfig {
  const config = readConfig(nativeSchema, json, file);
  const { dim, hidden_size: width, original_in_channels: original, condition_channels: condition } = config;
  if (width !== null && width !== dim) {
    throw new InvalidFileError(file, `hidden_size: expected dim, ${dim}, got ${width}`, {
      field: 'hidden_size',
    });
  }
  const inChannels = config.in_channels ?? config.in_dim;
  if (original !== null && condition !== null && original + condition !== inChannels) {
    throw new InvalidFileError(
      file,
      `in_channels: expected original_in_channels + condition_channels = ${original + condition}, got ${inChannels}`,
      { field: 'in_channels' },
    );
  }
  const attention = config.cross_attn_type ?? (config.model_type === 'i2v' ? 'i2v_cross_attn' : 'cross_attn');
  const imageBranch = attention === 'i2v_cross_attn';
  return {
    names: 'native',
    inChannels,
    outChannels: config.out_dim,
    ...{ dim, heads: config.num_heads, headDim: dim / config.num_heads, ffnDim: config.ffn_dim },
    ...{ layers: config.num_layers, freqDim: config.freq_dim },
    ...{ textDim: config.text_dim, textLength: config.text_len, patch: config.patch_size[1] },
    ...{ qkNorm: config.qk_norm, crossNorm: config.cross_attn_norm, imageBranch },
    imageDim: imageBranch ? CLIP_WIDTH : undefined,
    ...{ eps: config.eps, fps: config.fps },
  };
}

function fromDiffusers(json: unknown, file: string): WanConfig {
  const config = readConfig(diffusersSchema, json, file);
  const { num_attention_heads: heads, attention_head_dim: headDim, image_dim, added_kv_proj_dim } = config;
  const dim = heads * headDim;
  if ((image_dim === null) !== (added_kv_proj_dim === null) || (added_kv_proj_dim ?? dim) !== dim) {
    throw new InvalidFileError(
      file,
      `added_kv_proj_dim: expected ${image_dim === null ? 'null without an image_dim' : `${dim} beside image_dim`}, got ${added_kv_proj_dim}`,
      { field: 'added_kv_proj_dim' },
    );
  }
  return {
    names: 'diffusers',
    inChannels: config.in_channels,
    outChannels: config.out_channels,
    ...{ dim, heads, headDim, ffnDim: config.ffn_dim, layers: config.num_layers, freqDim: config.freq_dim },
    ...{ textDim: config.text_dim, textLength: 512, patch: config.patch_size[1] },
    ...{ qkNorm: config.qk_norm !== null, crossNorm: config.cross_attn_norm },
    ...{ imageBranch: image_dim !== null, imageDim: image_dim ?? undefined },
    ...{ eps: config.eps, fps: 16 },
  };
}
