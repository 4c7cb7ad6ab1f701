/** CLIP's vision transformer: patches of a picture and one token that stands for all of it. */
import { add, cast, concat, linear, permute, reshape, slice, type Tensor } from '@dwm/core-tensor';
import type { Parameters } from '../weights/parameters.ts';
import { project } from '../weights/quantized.ts';
import type { CLIPConfig } from './config.ts';
import { towerLayers, towerNorm } from './layers.ts';

/**
 * @param pixels [3, imageSize, imageSize], normalized.
 * @returns [projection], of any length.
 */
export function visionTower({ vision }: CLIPConfig, weights: Parameters, pixels: Tensor): Tensor {
  const { width, imageSize, patchSize } = vision;
  const side = imageSize / patchSize;
  const get = (name: string) => weights.get(`vision_model.embeddings.${name}`);
  const split = reshape(pixels, [3, side, patchSize, side, patchSize]);
  const patches = reshape(permute(split, [1, 3, 0, 2, 4]), [1, side * side, 3 * patchSize * patchSize]);
  const embedded = linear(patches, reshape(get('patch_embedding.weight'), [width, -1]));
  const first = reshape(cast(get('class_embedding'), 'f32'), [1, 1, width]);
  const tokens = add(concat([first, embedded], 1), get('position_embedding.weight'));
  const normed = towerNorm(weights, vision, tokens, 'vision_model.pre_layrnorm');
  const x = towerLayers(weights, vision, 'vision_model', normed);
  const whole = towerNorm(weights, vision, slice(x, 1, 0, 1), 'vision_model.post_layernorm');
  return reshape(project(weights, whole, 'visual_projection.weight'), [-1]);
}
