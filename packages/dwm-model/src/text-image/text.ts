/** CLIP's text transformer: a token sees those before it, so the one that ends the text has seen all of it. */
import { add, constant, embedding, reshape, slice, type Tensor } from '@dwm/core-tensor';
import type { Parameters } from '../weights/parameters.ts';
import { project } from '../weights/quantized.ts';
import type { CLIPConfig } from './config.ts';
import { towerLayers, towerNorm } from './layers.ts';

/** The `eos_token_id` of older files, whatever the tokenizer's is: its place is that of the largest id. */
export const LEGACY_END = 2;

/** Place of the token that stands for the whole text, as `CLIPTextTransformer.forward` finds it. */
export const endOfText = (ids: Uint32Array, endToken: number): number =>
  ids.indexOf(endToken === LEGACY_END ? Math.max(...ids) : endToken);

/**
 * @param ids u32 [1, tokens], of which the last ends the text: nothing after it changes the result.
 * @returns [projection], of any length.
 */
export function textTower({ text }: CLIPConfig, weights: Parameters, ids: Tensor): Tensor {
  const tokens = ids.shape[1];
  const before = Float32Array.from({ length: tokens * tokens }, (_, i) =>
    i % tokens > Math.floor(i / tokens) ? -Infinity : 0,
  );
  const table = (name: string) => weights.get(`text_model.embeddings.${name}.weight`);
  const positions = slice(table('position_embedding'), 0, 0, tokens);
  const embedded = add(embedding(ids, table('token_embedding')), positions);
  const x = towerLayers(weights, text, 'text_model', embedded, constant(before, [tokens, tokens]));
  const last = towerNorm(weights, text, slice(x, 1, tokens - 1, 1), 'text_model.final_layer_norm');
  return reshape(project(weights, last, 'text_projection.weight'), [-1]);
}
