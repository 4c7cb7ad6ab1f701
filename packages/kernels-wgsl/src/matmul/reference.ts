/** Matmul in float64, before any epilogue, and what a quantized operand stands for. */
import type { MatmulSpec } from './spec.ts';

/** The values of a quantized B [N, K]. */
export function scaledReference(
  { k, scaledB }: Pick<MatmulSpec, 'k' | 'scaledB'>,
  stored: ArrayLike<number>,
  scales: ArrayLike<number>,
  offsets?: ArrayLike<number>,
): Float64Array {
  const { groupSize } = scaledB!;
  const groups = k / groupSize;
  return Float64Array.from(stored, (q, i) => {
    const at = Math.floor(i / k) * groups + Math.floor((i % k) / groupSize);
    return q * scales[at] + (offsets?.[at] ?? 0);
  });
}

/** a · b in float64: [batch, m, k] by [batch, k, n], or as `transposeA`, `transposeB` and `sharedB` say. */
export function matmulReference(
  spec: Pick<MatmulSpec, 'batch' | 'm' | 'n' | 'k' | 'transposeA' | 'transposeB' | 'sharedB'>,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): Float64Array {
  const { batch, m, n, k, transposeA, transposeB, sharedB } = spec;
  const out = new Float64Array(batch * m * n);
  for (let z = 0; z < batch; z++) {
    const baseA = z * m * k;
    const baseB = sharedB ? 0 : z * n * k;
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let s = 0; s < k; s++) {
          sum +=
            a[baseA + (transposeA ? s * m + row : row * k + s)] *
            b[baseB + (transposeB ? column * k + s : s * n + column)];
        }
        out[(z * m + row) * n + column] = sum;
      }
    }
  }
  return out;
}
