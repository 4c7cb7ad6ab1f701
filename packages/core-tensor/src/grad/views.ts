/**
 * Gradients of views: the transposed linear map. They stand here and not with the views, because the transpose
 * of a view may be a kernel (a sum, a concatenation) that itself is built on views. Slices are missing: their
 * gradients are gathered and laid side by side (`accumulate.ts`).
 */
import { concat } from '../ops/concat.ts';
import { sum } from '../ops/reduce.ts';
import { permute, reshape, slice } from '../ops/views.ts';
import type { Tensor, ViewMap } from '../tensor.ts';
import { sumTo } from './sum-to.ts';

/** The gradient of a view's input, of `shape`, from that of its output. */
export function viewGradient(
  map: Exclude<ViewMap, { kind: 'slice' | 'stopGradient' }>,
  shape: readonly number[],
  gradient: Tensor,
): Tensor {
  switch (map.kind) {
    case 'reshape':
      return reshape(gradient, shape);
    case 'broadcastTo':
      return sumTo(gradient, shape);
    case 'permute':
      return permute(
        gradient,
        map.order.map((_, d) => map.order.indexOf(d)),
      );
    case 'repeat': {
      const { dim, factor, keepFirst } = map;
      const runs = (from: Tensor) => {
        const sizes = from.shape;
        const split = [...sizes.slice(0, dim), sizes[dim] / factor, factor, ...sizes.slice(dim + 1)];
        return sum(reshape(from, split), [dim + 1]);
      };
      if (!keepFirst) return runs(gradient);
      if (shape[dim] === 1) return gradient;
      const first = slice(gradient, dim, 0, 1);
      return concat([first, runs(slice(gradient, dim, 1, gradient.shape[dim] - 1))], dim);
    }
  }
}
