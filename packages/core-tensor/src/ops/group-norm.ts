/** Group normalization of channels-last data: statistics by a kernel, their application by elementwise ops. */
import { bytesOf, elementCount, type GroupStatisticsSpec, lowerGroupStatistics } from '@dwm/kernels-wgsl';
import { record, type Tensor } from '../tensor.ts';
import { add, mul, sub } from './pointwise.ts';
import { reshape } from './views.ts';

export interface GroupNormOptions {
  /** Divides C; group g is channels [g·C/groups, (g + 1)·C/groups). */
  readonly groups: number;
  readonly eps: number;
  /** Scale, [C]. */
  readonly gamma?: Tensor;
  /** Offset, [C]. */
  readonly beta?: Tensor;
}

/**
 * What normalizes x: `(x - mean) * scale + shift`, each [B, C]. `scale` is rstd·gamma; `shift` is beta, corrected
 * for the rounding of `mean`, so that data far from zero keep their precision.
 * @param x [B, ..., C].
 */
export function groupStatistics(
  x: Tensor,
  { groups, eps, gamma, beta }: GroupNormOptions,
): { mean: Tensor; scale: Tensor; shift: Tensor } {
  const batch = x.shape[0];
  const channels = x.shape[x.shape.length - 1];
  if (x.shape.length < 2) throw new Error(`groupNorm: x must be [B, ..., C], got [${x.shape}]`);
  if (!Number.isInteger(channels / groups)) {
    throw new Error(`groupNorm: ${groups} groups do not divide the ${channels} channels of x [${x.shape}]`);
  }
  for (const [what, tensor] of Object.entries({ gamma, beta })) {
    if (tensor && (tensor.shape.length !== 1 || tensor.shape[0] !== channels)) {
      throw new Error(`groupNorm: ${what} must be [${channels}] for x [${x.shape}], got [${tensor.shape}]`);
    }
  }
  const count = elementCount(x.shape);
  const spec: GroupStatisticsSpec = {
    batch,
    positions: count / batch / channels,
    channels,
    groups,
    eps,
    dtype: x.dtype,
    gamma: gamma?.dtype,
    beta: beta?.dtype,
  };
  const affine = [gamma, beta].filter((tensor) => tensor !== undefined);
  const perChannel = { shape: [batch, channels], dtype: 'f32' as const };
  const [mean, scale, shift] = record(
    {
      kind: 'kernel',
      name: 'groupStatistics',
      cost: { flops: 7 * count, bytes: count * bytesOf(x.dtype) },
      epilogue: false,
      bindings: 4 + affine.length,
      lower: ({ caps }) => lowerGroupStatistics(spec, caps),
    },
    [x, ...affine],
    [perChannel, perChannel, perChannel],
  );
  return { mean, scale, shift };
}

/**
 * (x - mean) / sqrt(variance + eps) * gamma + beta, mean and variance over all positions and the channels of a
 * group, for every batch item.
 * @param x [B, ..., C].
 */
export function groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
  const { mean, scale, shift } = groupStatistics(x, options);
  const shape = x.shape.map((size, d) => (d === 0 || d === x.shape.length - 1 ? size : 1));
  return add(mul(sub(x, reshape(mean, shape)), reshape(scale, shape)), reshape(shift, shape));
}
