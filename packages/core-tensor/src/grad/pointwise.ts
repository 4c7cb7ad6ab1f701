/**
 * Gradients of elementwise nodes: one elementwise node for each input that wants one, computing the gradient
 * times the partial derivative, then summed down to the input's own shape. A node reads only what its
 * expression needs, so that nothing else is kept for the backward pass.
 */
import { differentiate, type Expression, operand, substitute, walk } from '@dwm/kernels-wgsl/pointwise';
import { type PointwiseOp, record, type Tensor } from '../tensor.ts';
import { cheapest } from './recompute.ts';
import { sumTo } from './sum-to.ts';

export function pointwiseGradients(
  { name, expression }: PointwiseOp,
  inputs: readonly Tensor[],
  gradient: Tensor,
  needed: readonly boolean[],
): (Tensor | undefined)[] {
  const parts = differentiate(expression, operand(inputs.length));
  return inputs.map((input, k) => {
    const part = needed[k] ? parts[k] : undefined;
    if (!part) return undefined;
    return sumTo(elementwise(`${name} gradient`, part, [...inputs, gradient], gradient.shape), input.shape);
  });
}

/** `expression` over those of `tensors` that it reads; one of them itself if that is all it says. */
function elementwise(
  name: string,
  expression: Expression,
  tensors: readonly Tensor[],
  shape: readonly number[],
): Tensor {
  if (expression.kind === 'operand') return tensors[expression.index];
  const read: number[] = [];
  walk(expression, (node) => {
    if (node.kind === 'operand' && !read.includes(node.index)) read.push(node.index);
  });
  const compact = substitute(expression, (leaf) =>
    leaf.kind === 'operand' ? operand(read.indexOf(leaf.index)) : undefined,
  );
  return record(
    { kind: 'pointwise', name, expression: compact },
    read.map((index) => cheapest(tensors[index])),
    [{ shape, dtype: 'f32' }],
  )[0];
}
