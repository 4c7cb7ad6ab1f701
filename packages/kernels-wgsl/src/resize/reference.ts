/** Resizing in float64, one axis after the other. */
import type { ResizeShape } from './shapes.ts';
import type { ResizeMode } from './table.ts';

/** One axis of [outer, from, inner] resized; with `adjoint`, [outer, to, inner] taken back. */
function resizeAxis(
  x: ArrayLike<number>,
  from: number,
  to: number,
  inner: number,
  mode: ResizeMode,
  adjoint = false,
): Float64Array {
  const outer = x.length / (adjoint ? to : from) / inner;
  const out = new Float64Array(outer * (adjoint ? from : to) * inner);
  for (let i = 0; i < to; i++) {
    const position =
      mode === 'nearest' ? Math.floor((i * from) / to) : Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const low = Math.floor(position);
    const high = Math.min(low + 1, from - 1);
    const weight = position - low;
    for (let o = 0; o < outer; o++)
      for (let j = 0; j < inner; j++) {
        const input = (k: number) => (o * from + k) * inner + j;
        const output = (o * to + i) * inner + j;
        if (adjoint) {
          out[input(low)] += (1 - weight) * x[output];
          out[input(high)] += weight * x[output];
        } else out[output] = (1 - weight) * x[input(low)] + weight * x[input(high)];
      }
  }
  return out;
}

/** x [batch, ...from, channels] resized, in float64. */
export function resizeReference(
  x: ArrayLike<number>,
  { from, to, channels }: ResizeShape,
  mode: ResizeMode,
): Float64Array {
  const frames = resizeAxis(x, from[0], to[0], from[1] * from[2] * channels, mode);
  const rows = resizeAxis(frames, from[1], to[1], from[2] * channels, mode);
  return resizeAxis(rows, from[2], to[2], channels, mode);
}

/** The adjoint of `resizeReference`: the gradient of x for the gradient `g` of the result. */
export function resizeBackwardReference(
  g: ArrayLike<number>,
  { from, to, channels }: ResizeShape,
  mode: ResizeMode,
): Float64Array {
  const columns = resizeAxis(g, from[2], to[2], channels, mode, true);
  const rows = resizeAxis(columns, from[1], to[1], from[2] * channels, mode, true);
  return resizeAxis(rows, from[0], to[0], from[1] * from[2] * channels, mode, true);
}
