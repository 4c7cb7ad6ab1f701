/**
 * Affine maps of views, composed. `resolve` walks a chain of views down to the tensor that holds the bytes;
 * `reshapeAccess` says how a strided tensor is read under another shape, where strides can say it.
 */
import { elementCount } from '@dwm/kernels-wgsl';
import {
  type Access,
  type AccessDim,
  contiguousStrides,
  isDense,
  strided,
} from '@dwm/kernels-wgsl/pointwise';
import type { Tensor } from '../tensor.ts';

const isPlain = (dim: AccessDim) => dim.divisor === 1 && dim.shift === 0;

/**
 * The access over `to` that reads the same elements in the same order as `access` over `from`; undefined when
 * no strides do. Runs of dims are matched by their products; a run that is walked in step splits freely.
 */
export function reshapeAccess(
  access: Access,
  from: readonly number[],
  to: readonly number[],
): Access | undefined {
  if (elementCount(from) !== elementCount(to)) return undefined;
  const dims: AccessDim[] = [];
  let offset = access.offset;
  let f = 0;
  let t = 0;
  while (f < from.length || t < to.length) {
    const fStart = f;
    const tStart = t;
    let fromProduct = f < from.length ? from[f++] : 1;
    let toProduct = t < to.length ? to[t++] : 1;
    while (fromProduct !== toProduct) {
      if (fromProduct < toProduct) fromProduct *= from[f++];
      else toProduct *= to[t++];
    }
    if (f - fStart === 1 && t - tStart === 1) {
      dims.push(access.dims[fStart]);
      continue;
    }
    // Size-1 dims read a constant element; fold it into the offset.
    const run: { dim: AccessDim; size: number }[] = [];
    for (let d = fStart; d < f; d++) {
      const dim = access.dims[d];
      if (from[d] === 1) offset += dim.stride * Math.floor(dim.shift / dim.divisor);
      else run.push({ dim, size: from[d] });
    }
    if (run.length === 1 && t - tStart > 0) {
      const wide = to.slice(tStart, t).filter((size) => size !== 1);
      if (wide.length === 1) {
        for (let d = tStart; d < t; d++)
          dims.push(to[d] === 1 ? { stride: 0, shift: 0, divisor: 1 } : run[0].dim);
        continue;
      }
    }
    for (let k = 0; k < run.length; k++) {
      if (!isPlain(run[k].dim)) return undefined;
      if (k > 0 && run[k - 1].dim.stride !== run[k].dim.stride * run[k].size) return undefined;
    }
    const base = run.length > 0 ? run[run.length - 1].dim.stride : 0;
    const inner = contiguousStrides(to.slice(tStart, t));
    for (const stride of inner) dims.push({ stride: stride * base, shift: 0, divisor: 1 });
  }
  return { offset, dims };
}

/** `access` over a tensor of shape `from`, read at the coordinates of `to` as NumPy broadcasts. */
export function broadcast(access: Access, from: readonly number[], to: readonly number[]): Access {
  const lead = to.length - from.length;
  let offset = access.offset;
  const dims: AccessDim[] = to.map((size, d) => {
    const nothing = { stride: 0, shift: 0, divisor: 1 };
    if (d < lead) return nothing;
    const dim = access.dims[d - lead];
    if (from[d - lead] === 1 && size !== 1) {
      offset += dim.stride * Math.floor(dim.shift / dim.divisor);
      return nothing;
    }
    return dim;
  });
  return { offset, dims };
}

/** The tensor that holds the bytes of `tensor`, and how `tensor` reads it. Stops where a view cannot go. */
export function resolve(tensor: Tensor): { base: Tensor; access: Access } {
  const { source } = tensor;
  if (source.kind === 'node' && source.node.op.kind === 'view') {
    const under = resolve(source.node.inputs[0]);
    const access = source.node.op.view(under.access);
    if (access) return { base: under.base, access };
  }
  return { base: tensor, access: strided(contiguousStrides(tensor.shape)) };
}

/** The tensor whose bytes, from the first on, are exactly those of `tensor`, if there is one. */
export function denseBase(tensor: Tensor): Tensor | undefined {
  const found = denseWindow(tensor);
  const whole = found?.offset === 0 && elementCount(found.base.shape) === elementCount(tensor.shape);
  return whole ? found.base : undefined;
}

/** The tensor that holds the bytes of `tensor` in one dense run, and the element it starts at. */
export function denseWindow(tensor: Tensor): { base: Tensor; offset: number } | undefined {
  const { base, access } = resolve(tensor);
  return isDense({ ...access, offset: 0 }, tensor.shape) ? { base, offset: access.offset } : undefined;
}
