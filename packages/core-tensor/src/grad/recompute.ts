/**
 * Elementwise results that are cheaper to compute again than to keep: those that broadcasting made larger than
 * everything they come from, such as one vector of scales spread over all tokens. Computed afresh where a
 * gradient reads them they fuse into the reader, and neither pass ever stores them.
 */
import { elementCount } from '@dwm/kernels-wgsl';
import { resolve } from '../plan/views.ts';
import { record, type Tensor } from '../tensor.ts';

/** `tensor` itself, or fresh nodes with its value. */
export function cheapest(tensor: Tensor): Tensor {
  return comesFromLess(tensor) ? again(tensor) : tensor;
}

/** Whether all that `tensor` is computed from, back through elementwise nodes, has at most half its elements. */
function comesFromLess(tensor: Tensor): boolean {
  if (!isPointwise(tensor)) return false;
  let room = elementCount(tensor.shape) / 2;
  const seen = new Set([tensor]);
  for (const one of seen) {
    const { source } = one;
    if (source.kind === 'node' && source.node.op.kind === 'pointwise') {
      for (const input of source.node.inputs) seen.add(input);
    } else {
      room -= Math.min(elementCount(one.shape), elementCount(resolve(one).base.shape));
      if (room < 0) return false;
    }
  }
  return true;
}

const isPointwise = ({ source }: Tensor) => source.kind === 'node' && source.node.op.kind === 'pointwise';

function again(tensor: Tensor): Tensor {
  const { source } = tensor;
  if (source.kind !== 'node' || source.node.op.kind !== 'pointwise') return tensor;
  return record(source.node.op, source.node.inputs.map(again), [tensor])[0];
}
