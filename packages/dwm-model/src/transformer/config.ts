/** `transformer/config.json` of the CogVideoX family, as diffusers and CogVideoX-Fun write it. */
import { InvalidFileError } from '@dwm/core-tensor';
import * as z from 'zod';
import { layerCount, readConfig } from '../weights/config.ts';

const positive = z.number().int().positive();

const schema = z.object({
  num_attention_heads: positive,
  attention_head_dim: positive.multipleOf(8),
  num_layers: layerCount,
  in_channels: positive,
  out_channels: positive,
  patch_size: positive,
  patch_size_t: positive.nullable().default(null),
  patch_bias: z.boolean().default(true),
  text_embed_dim: positive,
  time_embed_dim: positive,
  ofs_embed_dim: positive.nullable().default(null),
  max_text_seq_length: positive,
  sample_frames: positive,
  sample_height: positive,
  sample_width: positive,
  temporal_compression_ratio: positive,
  spatial_interpolation_scale: z.number().positive(),
  temporal_interpolation_scale: z.number().positive(),
  use_rotary_positional_embeddings: z.boolean(),
  use_learned_positional_embeddings: z.boolean().default(false),
  attention_bias: z.boolean(),
  norm_elementwise_affine: z.boolean(),
  norm_eps: z.number().positive(),
  flip_sin_to_cos: z.boolean(),
  freq_shift: z.number(),
  activation_fn: z.enum(['gelu-approximate', 'gelu']),
  timestep_activation_fn: z.literal('silu'),
  /** Training only. */
  dropout: z.number().default(0),
  /** CogVideoX-Fun noises its static video in training with this; DWM never does. */
  add_noise_in_inpaint_model: z.boolean().default(false),
  add_control_adapter: z.literal(false).default(false),
  /** Channels of the inpainting base, and of the hand condition that DWM appends. */
  original_in_channels: positive.nullable().default(null),
  condition_channels: positive.nullable().default(null),
  /** Not diffusers': latent frames attend only to those of their own block and of blocks before. */
  causal: z
    .strictObject({
      /** Latent frames of a block, which are made at once. */
      block_frames: positive,
      /** Blocks up to its own that a block sees. */
      window: positive,
      /** First blocks that all see. */
      sink: z.number().int().nonnegative().default(1),
    })
    .nullable()
    .default(null),
});

/** How a causal transformer looks back, in blocks of latent frames. */
export type CausalConfig = NonNullable<z.infer<typeof schema>['causal']>;

/** A transformer's config.json. */
export type TransformerConfig = z.infer<typeof schema> & {
  /** Width of the residual stream: heads x head dim. */
  readonly innerDim: number;
};

/** @throws InvalidFileError naming the key. */
export function readTransformerConfig(json: unknown, file: string): TransformerConfig {
  const config = readConfig(schema, json, file);
  const { original_in_channels: original, condition_channels: condition, in_channels: channels } = config;
  if (original !== null && condition !== null && original + condition !== channels) {
    throw new InvalidFileError(
      file,
      `in_channels: expected original_in_channels + condition_channels = ${original + condition}, got ${channels}`,
      { field: 'in_channels' },
    );
  }
  return checkCausal({ ...config, innerDim: config.num_attention_heads * config.attention_head_dim }, file);
}

/**
 * The configuration, where what it says of looking back goes with the rest.
 * @param file that messages name.
 * @throws InvalidFileError naming the key.
 */
export function checkCausal(config: TransformerConfig, file: string): TransformerConfig {
  const { causal, patch_size_t: framePatch } = config;
  const refuse = (field: string, problem: string) => {
    throw new InvalidFileError(file, `${field}: ${problem}`, { field });
  };
  if (causal && causal.block_frames % (framePatch ?? 1) !== 0)
    refuse(
      'causal.block_frames',
      `expected a multiple of patch_size_t ${framePatch}, got ${causal.block_frames}`,
    );
  if (causal && config.use_learned_positional_embeddings)
    refuse('causal', 'goes without use_learned_positional_embeddings, whose table ends with a clip');
  return config;
}
