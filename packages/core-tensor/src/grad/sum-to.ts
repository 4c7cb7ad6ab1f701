/** The transpose of broadcasting: what was read many times gets the sum of its gradients. */
import { sum } from '../ops/reduce.ts';
import { reshape } from '../ops/views.ts';
import type { Tensor } from '../tensor.ts';

/** `gradient` summed over the dimensions along which a tensor of `shape` was broadcast to its shape. */
export function sumTo(gradient: Tensor, shape: readonly number[]): Tensor {
  const lead = gradient.shape.length - shape.length;
  const dims = [...gradient.shape.keys()].filter(
    (d) => gradient.shape[d] > 1 && (d < lead || shape[d - lead] === 1),
  );
  const summed = dims.length > 0 ? sum(gradient, dims, true) : gradient;
  return lead > 0 ? reshape(summed, shape) : summed;
}
