/** Reductions over any dimensions, in a fixed order, accumulated in f32. */
import { bytesOf, elementCount, lowerReduce, type Reduction } from '@dwm/kernels-wgsl';
import { record, type Tensor } from '../tensor.ts';
import { permute, reshape } from './views.ts';

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
    throw new Error(
      `${reduction}: expected different dimensions of a tensor of floats, got [${dims}] of ${x.dtype} [${x.shape}]`,
    );
  }
  const kept = [...x.shape.keys()].filter((d) => !dims.includes(d));
  const rows = elementCount(kept.map((d) => x.shape[d]));
  const count = elementCount(x.shape);
  const shape = keepDims
    ? x.shape.map((size, d) => (dims.includes(d) ? 1 : size))
    : kept.map((d) => x.shape[d]);
  // Rows must be contiguous: free where the reduced dimensions are the last, else one copy.
  const inRows = permute(x, [...kept, ...[...dims].sort((a, b) => a - b)]);
  return record(
    {
      kind: 'kernel',
      name: reduction,
      cost: { flops: count, bytes: count * bytesOf(x.dtype) },
      epilogue: false,
      bindings: 2,
      lower: ({ caps }) => lowerReduce({ rows, length: count / rows, reduction, dtype: x.dtype }, caps),
    },
    [reshape(inRows, [rows, count / rows])],
    [{ shape, dtype: 'f32' }],
  )[0];
}
