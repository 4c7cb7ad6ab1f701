/**
 * LoRAs beside the weights of a network, not merged into them: for weights that are quantized, and for several whose
 * strengths change. Number k of the layer `X` has the tensors `X.low.k.a` [rank, inputs], `X.low.k.b` [outputs, rank]
 * and `X.low.k.scale` [1].
 */
import type { Adapter, Weights } from './weights.ts';

export type LowRankPart = 'a' | 'b' | 'scale';

export const lowRankName = (module: string, lora: number, part: LowRankPart): string =>
  `${module}.low.${lora}.${part}`;

/** Most LoRAs beside a network. */
export const MOST_LORAS = 16;

/** The low-rank updates beside the linear layer `module`. */
export function lowRanks(weights: Weights, module: string): Adapter[] {
  const trained = weights.adapter?.(module);
  const found: Adapter[] = trained ? [trained] : [];
  for (let k = 0; k < MOST_LORAS; k++) {
    const part = (own: LowRankPart) => weights.get(lowRankName(module, k, own));
    if (weights.has(lowRankName(module, k, 'a'))) {
      found.push({ a: part('a'), b: part('b'), scale: part('scale') });
    }
  }
  return found;
}
