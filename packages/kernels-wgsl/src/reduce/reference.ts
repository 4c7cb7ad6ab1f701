/** Reductions over any axes in float64. */
import { contiguousStrides } from '../pointwise/access.ts';
import type { Reduction } from './spec.ts';

/** The reduction over `dims` in float64; these dimensions go. */
export function reduceReference(
  x: ArrayLike<number>,
  shape: readonly number[],
  dims: readonly number[],
  reduction: Reduction,
): Float64Array {
  const strides = contiguousStrides(shape);
  const kept = [...shape.keys()].filter((d) => !dims.includes(d));
  const outStrides = contiguousStrides(kept.map((d) => shape[d]));
  const count = kept.reduce((product, d) => product * shape[d], 1);
  const maximum = reduction === 'max' || reduction === 'absMax';
  const out = new Float64Array(count).fill(maximum ? -Infinity : 0);
  for (let i = 0; i < x.length; i++) {
    let o = 0;
    for (const [k, d] of kept.entries()) o += (Math.floor(i / strides[d]) % shape[d]) * outStrides[k];
    if (maximum) out[o] = Math.max(out[o], reduction === 'absMax' ? Math.abs(x[i]) : x[i]);
    else out[o] += x[i];
  }
  return reduction === 'mean' ? out.map((value) => (value * count) / x.length) : out;
}
