/**
 * out[b, m, n] = epilogue( sum over k of A[b, m, k] · B[b, k, n] )
 *
 * A is stored [batch, M, K], or [batch, K, M] with `transposeA`; B is [batch, K, N], or [batch, N, K] with
 * `transposeB`, which is how PyTorch stores the weight of a linear layer. `sharedB`: one B for the whole batch.
 */
import type { DType } from '../dtype.ts';
import type { Fusion } from '../pointwise/fusion.ts';

/**
 * B as signed integers with one scale for every `groupSize` steps of a row:
 *
 *     B[n, k] = scales[n, k / groupSize] · q[n, k]
 *
 * Bound as u32 words of 32 / bits integers, lowest bits first, rows whole words. Input 2 are the scales, f32.
 */
export interface Quantization {
  readonly bits: 4 | 8;
  /** A multiple of 8 that divides K. */
  readonly groupSize: number;
}

/** A product of [batch, m, k] and [batch, k, n]; either may be stored with its last two dimensions swapped. */
export interface MatmulSpec {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly sharedB: boolean;
  readonly dtypeA: DType;
  /** u32 with `quantized`. */
  readonly dtypeB: DType;
  readonly dtypeOut: DType;
  /** Only with `transposeB` and `sharedB`. */
  readonly quantized?: Quantization;
  /** May multiply in f16, rows scaled by powers of two against overflow; sums stay in f32. */
  readonly halfPrecision: boolean;
  readonly epilogue: Fusion | undefined;
}

/** Inputs of the op before the epilogue's. */
export const inputCount = (spec: MatmulSpec): number => (spec.quantized ? 3 : 2);

/** Bound elements of a row of B, which is K unless integers share words. */
export const storedK = ({ k, quantized }: MatmulSpec): number => (quantized ? (k * quantized.bits) / 32 : k);
