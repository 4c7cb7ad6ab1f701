/** The networks that CogVideoX was published as, from their `config.json`s, with DWM's input channels. */
import { readTransformerConfig, type TransformerConfig } from './config.ts';

const MODELS = {
  '2B': { heads: 30, layers: 30, headDim: 64, timeDim: 512, textDim: 4096, textLength: 226, rotary: false },
  '5B': { heads: 48, layers: 42, headDim: 64, timeDim: 512, textDim: 4096, textLength: 226, rotary: true },
  /** Of our tests' size; not published. */
  tiny: { heads: 4, layers: 2, headDim: 16, timeDim: 64, textDim: 64, textLength: 32, rotary: true },
} as const;

/** A published CogVideoX. */
export type PublishedModel = keyof typeof MODELS;

/** The configuration of a published transformer with DWM's conditions. */
export const publishedTransformer = (model: PublishedModel): TransformerConfig => {
  const { heads, headDim, layers, timeDim, textDim, textLength, rotary } = MODELS[model];
  return readTransformerConfig(
    {
      ...{ num_attention_heads: heads, attention_head_dim: headDim, num_layers: layers },
      ...{ in_channels: 49, out_channels: 16, patch_size: 2 },
      ...{ text_embed_dim: textDim, time_embed_dim: timeDim, max_text_seq_length: textLength },
      ...{ sample_frames: 49, sample_height: 60, sample_width: 90 },
      ...{ temporal_compression_ratio: 4, spatial_interpolation_scale: 1.875 },
      ...{ temporal_interpolation_scale: 1, use_rotary_positional_embeddings: rotary },
      ...{ attention_bias: true, norm_elementwise_affine: true, norm_eps: 1e-5 },
      ...{ flip_sin_to_cos: true, freq_shift: 0, activation_fn: 'gelu-approximate' },
      timestep_activation_fn: 'silu',
    },
    `${model}/config.json`,
  );
};
