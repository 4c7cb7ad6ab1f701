/** Names and shapes of the transformer's weights, as diffusers saves them. */
import type { ParameterSpec, ParameterSpecs } from '../weights/parameters.ts';
import type { TransformerConfig } from './config.ts';
import { tokenGrid } from './positions.ts';

/** What the names of a block's weights begin with. */
export const blockPrefix = (index: number): string => `transformer_blocks.${index}.`;

/** Names and shapes of the transformer's weights. */
export function transformerParameters(config: TransformerConfig): ParameterSpecs {
  const { innerDim: dim, attention_head_dim: headDim, time_embed_dim: time, patch_size: p } = config;
  const specs: Record<string, ParameterSpec> = {};
  const vector = (name: string, size: number) => {
    specs[name] = { shape: [size] };
  };
  const linear = (name: string, outputs: number, inputs: number, bias = true) => {
    specs[`${name}.weight`] = { shape: [outputs, inputs] };
    if (bias) vector(`${name}.bias`, outputs);
  };
  const norm = (name: string, size: number, affine = config.norm_elementwise_affine) => {
    if (!affine) return;
    vector(`${name}.weight`, size);
    vector(`${name}.bias`, size);
  };

  const { patch_size_t: pt, in_channels: channels } = config;
  specs['patch_embed.proj.weight'] = {
    shape: pt === null ? [dim, channels, p, p] : [dim, channels * p * p * pt],
  };
  // `patch_bias` is about the convolution; the linear projection of 1.5 always has one.
  if (config.patch_bias || pt !== null) vector('patch_embed.proj.bias', dim);
  linear('patch_embed.text_proj', dim, config.text_embed_dim);
  if (config.use_learned_positional_embeddings) {
    const frames = Math.floor((config.sample_frames - 1) / config.temporal_compression_ratio) + 1;
    const { rows, columns } = tokenGrid(config, frames, config.sample_height, config.sample_width);
    specs['patch_embed.pos_embedding'] = {
      shape: [1, config.max_text_seq_length + frames * Math.floor(rows) * Math.floor(columns), dim],
    };
  }
  linear('time_embedding.linear_1', time, dim);
  linear('time_embedding.linear_2', time, time);
  if (config.ofs_embed_dim !== null) {
    linear('ofs_embedding.linear_1', config.ofs_embed_dim, config.ofs_embed_dim);
    linear('ofs_embedding.linear_2', config.ofs_embed_dim, config.ofs_embed_dim);
  }
  for (let i = 0; i < config.num_layers; i++) {
    const block = `transformer_blocks.${i}`;
    for (const name of ['norm1', 'norm2']) {
      linear(`${block}.${name}.linear`, 6 * dim, time);
      norm(`${block}.${name}.norm`, dim);
    }
    for (const name of ['to_q', 'to_k', 'to_v'])
      linear(`${block}.attn1.${name}`, dim, dim, config.attention_bias);
    linear(`${block}.attn1.to_out.0`, dim, dim);
    norm(`${block}.attn1.norm_q`, headDim, true);
    norm(`${block}.attn1.norm_k`, headDim, true);
    linear(`${block}.ff.net.0.proj`, 4 * dim, dim);
    linear(`${block}.ff.net.2`, dim, 4 * dim);
  }
  norm('norm_final', dim);
  linear('norm_out.linear', 2 * dim, time);
  norm('norm_out.norm', dim);
  linear('proj_out', p * p * (pt ?? 1) * config.out_channels, dim);
  return specs;
}
