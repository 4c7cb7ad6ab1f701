/** Reductions over any dimensions, in a fixed order, accumulated in f32. Equal maxima share their gradient. */
import { bytesOf, denseSource, elementCount, lowerReduce, type Reduction } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { record, type Tensor } from '../tensor.ts';
import { abs, div, less, mul, sub } from './pointwise.ts';
import { broadcastTo, reshape } from './views.ts';

/** Sum over `dims`, which stay as size 1 with `keepDims`. f32. */
export const sum = (x: Tensor, dims: readonly number[], keepDims = false): Tensor =>
  reduce('sum', x, dims, keepDims);

/** Mean over `dims`, which stay as size 1 with `keepDims`. f32. */
export const mean = (x: Tensor, dims: readonly number[], keepDims = false): Tensor =>
  reduce('mean', x, dims, keepDims);

/** Largest value over `dims`, which stay as size 1 with `keepDims`. f32. */
export const max = (x: Tensor, dims: readonly number[], keepDims = false): Tensor =>
  reduce('max', x, dims, keepDims);

/** Largest magnitude over `dims`, which stay as size 1 with `keepDims`. f32. */
export const absMax = (x: Tensor, dims: readonly number[], keepDims = false): Tensor =>
  reduce('absMax', x, dims, keepDims);

function reduce(reduction: Reduction, x: Tensor, dims: readonly number[], keepDims: boolean): Tensor {
  if (new Set(dims).size !== dims.length || dims.some((d) => !(d in x.shape)) || /^[iu]/.test(x.dtype)) {
    throw new InvalidArgumentError(
      reduction,
      `expected different dimensions of a tensor of floats, got [${dims}] of ${x.dtype} [${x.shape}]`,
    );
  }
  const shape = x.shape.flatMap((size, d) => (!dims.includes(d) ? [size] : keepDims ? [1] : []));
  const sizes = [...x.shape];
  const isReduced = (d: number) => dims.includes(d) || x.shape[d] === 1;
  // Neighbouring dimensions go together and the last ones first, so nothing is ever copied into rows.
  let rest = x;
  for (let end = sizes.length; end > 0; ) {
    let start = end;
    while (start > 0 && isReduced(start - 1)) start--;
    if (elementCount(sizes.slice(start, end)) > 1) {
      rest = reduceMiddle(
        reduction,
        rest,
        elementCount(sizes.slice(0, start)),
        elementCount(sizes.slice(start, end)),
        elementCount(sizes.slice(end)),
      );
      sizes.fill(1, start, end);
    }
    end = Math.min(start, end - 1);
  }
  if (rest === x) rest = reduceMiddle(reduction, x, elementCount(x.shape), 1, 1);
  return reshape(rest, shape);
}

/** x, read as [rows, length, inner], reduced to [rows, inner]. */
function reduceMiddle(reduction: Reduction, x: Tensor, rows: number, length: number, inner: number): Tensor {
  const count = rows * length * inner;
  return record(
    {
      kind: 'kernel',
      name: reduction,
      cost: { flops: count, bytes: count * bytesOf(x.dtype) + 4 * rows * inner },
      epilogue: false,
      bindings: 2,
      prologue: true,
      lower: (target, _, source = denseSource(count, x.dtype)) =>
        lowerReduce({ rows, length, inner, reduction, source }, target),
      vjp: ({ inputs: [whole], outputs: [out], gradients: [g] }) => {
        const along = (tensor: Tensor) => reshape(tensor, [rows, 1, inner]);
        if (reduction === 'sum') return [broadcastTo(along(g!), whole.shape)];
        if (reduction === 'mean') return [broadcastTo(along(mul(g!, 1 / length)), whole.shape)];
        // Equal maxima share the gradient, as in PyTorch's `amax`.
        const size = reduction === 'max' ? whole : abs(whole);
        const isLargest = sub(1, less(size, along(out)));
        const share = div(along(g!), sum(isLargest, [1], true));
        const sign = reduction === 'max' ? 1 : sub(less(0, whole), less(whole, 0));
        return [mul(mul(sub(1, less(size, along(out))), sign), share)];
      },
    },
    [reshape(x, [rows, length, inner])],
    [{ shape: [rows, inner], dtype: 'f32' }],
  )[0];
}
