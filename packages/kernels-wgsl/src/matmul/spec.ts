/**
 * out[b, m, n] = epilogue( sum over k of A[b, m, k] · B[b, k, n] )
 *
 * A is stored [batch, M, K], or [batch, K, M] with `transposeA`; B is [batch, K, N], or [batch, N, K] with
 * `transposeB`, which is how PyTorch stores the weight of a linear layer. `sharedB`: one B for the whole batch.
 */
import type { DeviceCaps } from '../caps.ts';
import type { DType } from '../dtype.ts';
import type { HalfRows } from '../kernel.ts';
import type { Fusion } from '../pointwise/fusion.ts';
import { declare, load } from '../storage.ts';

/**
 * What is stored of B is a quantized form q of it, in groups of steps of a row:
 *
 *     B[n, k] = scales[n, k / groupSize] · q[n, k] (+ offsets[n, k / groupSize])
 *
 * Input 2 are the scales, input 3 the offsets if there are any.
 */
export interface Scaling {
  /** A multiple of 8 that divides K. */
  readonly groupSize: number;
  /** Of the scales and the offsets. */
  readonly dtype: DType;
  readonly offsets: boolean;
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
  readonly dtypeB: DType;
  readonly dtypeOut: DType;
  /** Only with `transposeB` and `sharedB`. */
  readonly scaledB?: Scaling;
  /** May multiply in f16, rows scaled by powers of two against overflow; sums stay in f32. */
  readonly halfPrecision: boolean;
  readonly epilogue: Fusion | undefined;
  /** Where results are wished as scaled halves; f32 results only. */
  readonly halfRows?: HalfRows | undefined;
}

/** Inputs of the op before the epilogue's. */
export const inputCount = ({ scaledB }: MatmulSpec): number => (scaledB ? (scaledB.offsets ? 4 : 3) : 2);

/** Scales, and offsets, of all of B. */
export const scaleCount = ({ n, k, scaledB }: MatmulSpec): number =>
  scaledB ? (n * k) / scaledB.groupSize : 0;

/**
 * Declarations of scales and offsets, from a binding on, and a function that makes values of B from what is stored:
 * one, or the four from a step `k` that is a multiple of 4. `params.k` is K.
 */
export function scalingCode(scaling: Scaling | undefined, binding: number, caps: DeviceCaps): string {
  if (!scaling) return '';
  const { groupSize, dtype, offsets } = scaling;
  const at = (name: string) => load(name, dtype, 'at', caps);
  const sum = offsets ? ` + ${at('offsets')}` : '';
  const scaled = (
    type: string,
    name: string,
  ) => `fn ${name}(stored: ${type}, column: u32, k: u32) -> ${type} {
  let at = column * (params.k / ${groupSize}u) + k / ${groupSize}u;
  return stored * ${at('scales')}${sum};
}
`;
  return `${declare(binding, 'scales', dtype, 'read', caps)}
${offsets ? declare(binding + 1, 'offsets', dtype, 'read', caps) : ''}
${scaled('f32', 'scaled1')}${scaled('vec4<f32>', 'scaled4')}`;
}
