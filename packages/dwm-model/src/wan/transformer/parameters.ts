/** Names and shapes of a Wan transformer's weights, as Wan has them. */
import type { ParameterSpec, ParameterSpecs } from '../../weights/parameters.ts';
import type { WanConfig } from './config.ts';

/** The weight that takes in patches; its width tells how many channels go in. */
export const PATCH_WEIGHT = 'patch_embedding.weight';

/** The weight that tells how wide the picture's features are. */
export const IMAGE_NORM = 'img_emb.proj.0.weight';

/** What the names of a block's weights begin with. */
export const wanBlockPrefix = (index: number): string => `blocks.${index}.`;

/** Names and shapes of the transformer's weights. */
export function wanParameters(config: WanConfig): ParameterSpecs {
  const { dim, patch, imageDim } = config;
  const specs: Record<string, ParameterSpec> = {};
  const vector = (name: string, size: number) => {
    specs[name] = { shape: [size] };
  };
  const linear = (name: string, outputs: number, inputs: number) => {
    specs[`${name}.weight`] = { shape: [outputs, inputs] };
    vector(`${name}.bias`, outputs);
  };
  const norm = (name: string, size: number) => {
    vector(`${name}.weight`, size);
    vector(`${name}.bias`, size);
  };

  specs[PATCH_WEIGHT] = { shape: [dim, config.inChannels, 1, patch, patch] };
  vector('patch_embedding.bias', dim);
  linear('text_embedding.0', dim, config.textDim);
  linear('text_embedding.2', dim, dim);
  linear('time_embedding.0', dim, config.freqDim);
  linear('time_embedding.2', dim, dim);
  linear('time_projection.1', 6 * dim, dim);
  if (imageDim !== undefined) {
    norm('img_emb.proj.0', imageDim);
    linear('img_emb.proj.1', imageDim, imageDim);
    linear('img_emb.proj.3', dim, imageDim);
    norm('img_emb.proj.4', dim);
  }
  for (let i = 0; i < config.layers; i++) {
    const block = `blocks.${i}`;
    for (const attention of ['self_attn', 'cross_attn']) {
      for (const part of ['q', 'k', 'v', 'o']) linear(`${block}.${attention}.${part}`, dim, dim);
      if (config.qkNorm)
        for (const part of ['norm_q', 'norm_k']) vector(`${block}.${attention}.${part}.weight`, dim);
    }
    if (config.imageBranch) {
      for (const part of ['k_img', 'v_img']) linear(`${block}.cross_attn.${part}`, dim, dim);
      if (config.qkNorm) vector(`${block}.cross_attn.norm_k_img.weight`, dim);
    }
    if (config.crossNorm) norm(`${block}.norm3`, dim);
    linear(`${block}.ffn.0`, config.ffnDim, dim);
    linear(`${block}.ffn.2`, dim, config.ffnDim);
    specs[`${block}.modulation`] = { shape: [1, 6, dim] };
  }
  linear('head.head', patch * patch * config.outChannels, dim);
  specs['head.modulation'] = { shape: [1, 2, dim] };
  return specs;
}
