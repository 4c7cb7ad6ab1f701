/** Names and shapes of CLIP's weights, as transformers' `CLIPModel` has them. */
import type { ParameterSpecs } from '../weights/parameters.ts';
import type { CLIPConfig, CLIPTower } from './config.ts';

type Shapes = Record<string, readonly number[]>;

const norm = (name: string, width: number): Shapes => ({
  [`${name}.weight`]: [width],
  [`${name}.bias`]: [width],
});

const dense = (name: string, inputs: number, outputs: number): Shapes => ({
  [`${name}.weight`]: [outputs, inputs],
  [`${name}.bias`]: [outputs],
});

function layers(prefix: string, { width, hiddenWidth, blocks }: CLIPTower): Shapes {
  const shapes: Shapes = {};
  for (let i = 0; i < blocks; i++) {
    const layer = `${prefix}.encoder.layers.${i}`;
    Object.assign(shapes, norm(`${layer}.layer_norm1`, width), norm(`${layer}.layer_norm2`, width));
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'out_proj'])
      Object.assign(shapes, dense(`${layer}.self_attn.${name}`, width, width));
    Object.assign(shapes, dense(`${layer}.mlp.fc1`, width, hiddenWidth));
    Object.assign(shapes, dense(`${layer}.mlp.fc2`, hiddenWidth, width));
  }
  return shapes;
}

export function towerParameters({ projection, text, vision }: CLIPConfig): ParameterSpecs {
  const { imageSize, patchSize } = vision;
  const shapes: Shapes = {
    'text_model.embeddings.token_embedding.weight': [text.vocabulary, text.width],
    'text_model.embeddings.position_embedding.weight': [text.positions, text.width],
    ...layers('text_model', text),
    ...norm('text_model.final_layer_norm', text.width),
    'text_projection.weight': [projection, text.width],
    'vision_model.embeddings.class_embedding': [vision.width],
    'vision_model.embeddings.patch_embedding.weight': [vision.width, 3, patchSize, patchSize],
    'vision_model.embeddings.position_embedding.weight': [(imageSize / patchSize) ** 2 + 1, vision.width],
    ...norm('vision_model.pre_layrnorm', vision.width),
    ...layers('vision_model', vision),
    ...norm('vision_model.post_layernorm', vision.width),
    'visual_projection.weight': [projection, vision.width],
  };
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }]));
}

/** The scale of training's logits, which no angle depends on, and the counting numbers of older files. */
export const isUnusedByCLIP = (name: string): boolean =>
  name === 'logit_scale' || name.endsWith('.embeddings.position_ids');
