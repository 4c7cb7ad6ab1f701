/** Views: other ways to read a tensor. They cost nothing where the reader takes strides, else one copy. */
import { elementCount } from '@dwm/kernels-wgsl';
import type { Access } from '@dwm/kernels-wgsl/pointwise';
import { InvalidArgumentError } from '../errors.ts';
import { broadcast, reshapeAccess } from '../plan/views.ts';
import { record, type Tensor, type ViewMap } from '../tensor.ts';

const viewOf = (
  map: ViewMap,
  a: Tensor,
  shape: readonly number[],
  view: (input: Access) => Access | undefined,
): Tensor => record({ kind: 'view', name: map.kind, map, view }, [a], [{ shape, dtype: a.dtype }])[0];

/** The same elements in row-major order under another shape; one size may be -1. */
export function reshape(a: Tensor, sizes: readonly number[]): Tensor {
  const known = elementCount(sizes.filter((size) => size !== -1));
  const shape = sizes.map((size) => (size === -1 ? elementCount(a.shape) / known : size));
  if (elementCount(shape) !== elementCount(a.shape)) {
    throw new InvalidArgumentError('reshape', `[${a.shape}] does not have the elements of [${sizes}]`);
  }
  return viewOf({ kind: 'reshape' }, a, shape, (access) => reshapeAccess(access, a.shape, shape));
}

/** Dimension d of the result is dimension `order[d]` of `a`. */
export function permute(a: Tensor, order: readonly number[]): Tensor {
  if ([...order].sort((x, y) => x - y).some((d, i) => d !== i) || order.length !== a.shape.length) {
    throw new InvalidArgumentError('permute', `[${order}] is not an order of ${a.shape.length} dimensions`);
  }
  const shape = order.map((d) => a.shape[d]);
  return viewOf({ kind: 'permute', order }, a, shape, ({ offset, dims }) => ({
    offset,
    dims: order.map((d) => dims[d]),
  }));
}

/** Elements [start, start + length) along dimension `dim`. */
export function slice(a: Tensor, dim: number, start: number, length: number): Tensor {
  if (start < 0 || length < 1 || start + length > a.shape[dim]) {
    throw new InvalidArgumentError(
      'slice',
      `[${start}, ${start + length}) is outside dimension ${dim} of [${a.shape}]`,
    );
  }
  const shape = a.shape.map((size, d) => (d === dim ? length : size));
  return viewOf({ kind: 'slice', dim, start }, a, shape, ({ offset, dims }) => {
    const along = dims[dim];
    if (along.divisor === 1) {
      return { offset: offset + along.stride * start, dims };
    }
    return {
      offset,
      dims: dims.map((x, d) => (d === dim ? { ...along, shift: along.shift + start } : x)),
    };
  });
}

/** `a` broadcast to `shape` as NumPy does. */
export function broadcastTo(a: Tensor, shape: readonly number[]): Tensor {
  return viewOf({ kind: 'broadcastTo' }, a, shape, (access) => broadcast(access, a.shape, shape));
}

/**
 * Nearest-neighbour up-sampling of dimension `dim` by a whole factor. With `keepFirst` the first element is
 * not repeated: n elements become 1 + (n - 1)·factor, which is how causal video codecs treat frame 0.
 */
export function repeat(a: Tensor, dim: number, factor: number, keepFirst = false): Tensor {
  if (factor === 1) return a;
  const extra = keepFirst ? factor - 1 : 0;
  const shape = a.shape.map((size, d) => (d === dim ? size * factor - extra : size));
  return viewOf({ kind: 'repeat', dim, factor, keepFirst }, a, shape, ({ offset, dims }) => ({
    offset,
    dims: dims.map((x, d) =>
      d === dim ? { stride: x.stride, shift: extra + x.shift * factor, divisor: x.divisor * factor } : x,
    ),
  }));
}

/** Size-1 dimension inserted before dimension `dim`. */
export const unsqueeze = (a: Tensor, dim: number): Tensor =>
  reshape(a, [...a.shape.slice(0, dim), 1, ...a.shape.slice(dim)]);

/** The value of `a`, taken as a constant by `grad`: nothing flows back through it. */
export const stopGradient = (a: Tensor): Tensor =>
  viewOf({ kind: 'stopGradient' }, a, a.shape, (access) => access);
