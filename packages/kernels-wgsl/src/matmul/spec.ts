/**
 * out[b, m, n] = epilogue( sum over k of A[b, m, k] · B[b, k, n] )
 *
 * A is stored [batch, M, K], or [batch, K, M] with `transposeA`; B is [batch, K, N], or [batch, N, K] with
 * `transposeB`, which is how PyTorch stores the weight of a linear layer. `sharedB`: one B for the whole batch.
 */
import type { DType } from '../dtype.ts';
import type { Fusion } from '../pointwise/fusion.ts';

export interface MatmulSpec {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly sharedB: boolean;
  readonly dtypeA: DType;
  readonly dtypeB: DType;
  readonly dtypeOut: DType;
  /** Multiply in f16, rows scaled by powers of two against overflow; sums stay in f32. */
  readonly halfPrecision: boolean;
  readonly epilogue: Fusion | undefined;
}
