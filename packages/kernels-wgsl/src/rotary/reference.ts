/** Rotary embedding in float64; with `transposed` its adjoint. */
import type { RotaryShape } from './shapes.ts';

/**
 * The rotation of x [batch, rows, heads, headDim] in float64.
 * @param transposed the adjoint map.
 */
export function rotaryReference(
  x: ArrayLike<number>,
  cos: ArrayLike<number>,
  sin: ArrayLike<number>,
  { rows, heads, headDim, firstRow }: RotaryShape,
  transposed = false,
): Float64Array {
  return Float64Array.from(x, (value, i) => {
    const row = Math.floor(i / (heads * headDim)) % rows;
    if (row < firstRow) return value;
    const t = (row - firstRow) * headDim + (i % headDim);
    if (transposed) {
      const other = i % 2 === 0 ? x[i + 1] * sin[t + 1] : -x[i - 1] * sin[t - 1];
      return value * cos[t] + other;
    }
    const turned = i % 2 === 0 ? -x[i + 1] : x[i - 1];
    return value * cos[t] + turned * sin[t];
  });
}
