/** Matmul in float64, before any epilogue. */
import type { MatmulSpec } from './spec.ts';

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
