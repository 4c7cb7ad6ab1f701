/** Layers that the transformers of all families have in common. */
import { add, concat, linear, mul, slice, type Tensor } from '@dwm/core-tensor';
import { lowRanks } from './low-rank.ts';
import { project } from './quantized.ts';
import type { Weights } from './weights.ts';

/** A linear layer, with the low-rank updates beside its weight. */
export function denseLayer(weights: Weights, x: Tensor, name: string): Tensor {
  const bias = weights.has(`${name}.bias`) ? weights.get(`${name}.bias`) : undefined;
  const product = project(weights, x, `${name}.weight`);
  let out = bias ? add(product, bias) : product;
  for (const { a, b, scale } of lowRanks(weights, name)) out = add(out, mul(linear(linear(x, a), b), scale));
  return out;
}

/**
 * `layer` on parts of the rows [batch, rows, width] one after the other: what is wide in it is wide for a part only.
 */
export function inRowParts(x: Tensor, parts: number, layer: (rows: Tensor) => Tensor): Tensor {
  if (parts === 1) return layer(x);
  const size = Math.ceil(x.shape[1] / parts);
  const made: Tensor[] = [];
  for (let start = 0; start < x.shape[1]; start += size)
    made.push(layer(slice(x, 1, start, Math.min(size, x.shape[1] - start))));
  return concat(made, 1);
}
