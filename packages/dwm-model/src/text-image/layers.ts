/** The blocks that both of CLIP's transformers are made of: attention and a feed-forward, each behind a norm. */
import { add, attention, gelu, layerNorm, mul, reshape, sigmoid, type Tensor } from '@dwm/core-tensor';
import { denseLayer } from '../weights/layers.ts';
import type { Parameters } from '../weights/parameters.ts';
import type { CLIPTower } from './config.ts';

const quickGelu = (x: Tensor) => mul(x, sigmoid(mul(x, 1.702)));

export const towerNorm = (weights: Parameters, { eps }: CLIPTower, x: Tensor, name: string): Tensor =>
  layerNorm(x, { eps, gamma: weights.get(`${name}.weight`), beta: weights.get(`${name}.bias`) });

/**
 * @param prefix `text_model` or `vision_model`.
 * @param x [batch, tokens, width].
 * @param bias added to the scores of attention, [tokens, tokens].
 */
export function towerLayers(
  weights: Parameters,
  tower: CLIPTower,
  prefix: string,
  x: Tensor,
  bias?: Tensor,
): Tensor {
  const [batch, tokens, width] = x.shape;
  const heads = [batch, tokens, tower.heads, width / tower.heads];
  const activation = tower.activation === 'gelu' ? gelu : quickGelu;
  let stream = x;
  for (let i = 0; i < tower.blocks; i++) {
    const layer = `${prefix}.encoder.layers.${i}`;
    const norm = (name: string) => towerNorm(weights, tower, stream, `${layer}.${name}`);
    const dense = (input: Tensor, name: string) => denseLayer(weights, input, `${layer}.${name}`);

    const attended = norm('layer_norm1');
    const [query, key, value] = ['q_proj', 'k_proj', 'v_proj'].map((name) =>
      reshape(dense(attended, `self_attn.${name}`), heads),
    );
    const heard = reshape(attention(query, key, value, { bias }), x.shape);
    stream = add(stream, dense(heard, 'self_attn.out_proj'));

    const fed = activation(dense(norm('layer_norm2'), 'mlp.fc1'));
    stream = add(stream, dense(fed, 'mlp.fc2'));
  }
  return stream;
}
