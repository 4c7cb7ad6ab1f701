/** Group normalization of channels-last data: statistics by a kernel, their application by elementwise ops. */
import { bytesOf, elementCount, type GroupStatisticsSpec, lowerGroupStatistics } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { record, type Tensor, type Vjp } from '../tensor.ts';
import { add, mul, sub } from './pointwise.ts';
import { sum } from './reduce.ts';
import { reshape, slice } from './views.ts';

/** Options of `groupNorm`. */
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
  if (x.shape.length < 2)
    throw new InvalidArgumentError('groupNorm', `x must be [B, ..., C], got [${x.shape}]`);
  if (!Number.isInteger(channels / groups)) {
    throw new InvalidArgumentError(
      'groupNorm',
      `${groups} groups do not divide the ${channels} channels of x [${x.shape}]`,
    );
  }
  for (const [what, tensor] of Object.entries({ gamma, beta })) {
    if (tensor && (tensor.shape.length !== 1 || tensor.shape[0] !== channels)) {
      throw new InvalidArgumentError(
        'groupNorm',
        `${what} must be [${channels}] for x [${x.shape}], got [${tensor.shape}]`,
      );
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
      bindings: 5 + affine.length,
      vjp: vjpOf(spec),
      lower: ({ caps }) => lowerGroupStatistics(spec, caps),
    },
    [x, ...affine],
    [perChannel, perChannel, perChannel, { shape: [batch, groups, 2], dtype: 'f32' }],
  );
  return { mean, scale, shift };
}

/**
 * Gradients through the statistics; those through their application are of elementwise ops. With n the elements
 * of a group, and sums over its channels:
 *
 *     dx     = (sum(dmean) - rstd^3 sum(dscale' gamma) (x - mean - rest)) / n
 *     dgamma = sum over batch of dscale' rstd,   dbeta = sum over batch of dshift,   dscale' = dscale - rest dshift
 *
 * `mean` is taken to follow x and `rest` to be a constant, so that what both say about x is counted once.
 */
const vjpOf =
  ({ batch, positions, channels, groups, gamma: hasGamma, beta: hasBeta }: GroupStatisticsSpec): Vjp =>
  ({ inputs: [x, ...affine], outputs: [mean, , , moments], gradients, needed }) => {
    const gamma = hasGamma && affine[0];
    const width = channels / groups;
    const inGroups = (t: Tensor) => reshape(t, [batch, groups, width]);
    const ofGroup = (k: number) => reshape(slice(moments, 2, k, 1), [batch, groups, 1]);
    const [rest, rstd] = [ofGroup(0), ofGroup(1)];
    const [dMean, rawScale, dShift] = gradients.map((t) => t && inGroups(t));
    const correction = dShift && mul(mul(rest, dShift), -1);
    const dScale = rawScale && correction ? add(rawScale, correction) : (rawScale ?? correction);

    const results: (Tensor | undefined)[] = [];
    const perGroup = (t: Tensor) => reshape(t, [batch, 1, groups, 1]);
    if (needed[0]) {
      const scale = 1 / (positions * width);
      const shift = dMean && perGroup(mul(sum(dMean, [2], true), scale));
      let slope: Tensor | undefined;
      if (dScale) {
        const weighted = gamma ? mul(dScale, reshape(gamma, [1, groups, width])) : dScale;
        const cubed = mul(mul(rstd, rstd), rstd);
        slope = perGroup(mul(mul(sum(weighted, [2], true), cubed), -scale));
      }
      const from = sub(
        sub(reshape(x, [batch, positions, groups, width]), reshape(mean, [batch, 1, groups, width])),
        perGroup(rest),
      );
      // Without either, x's own values still give the zeros their shape.
      const sloped = mul(from, slope ?? 0);
      results[0] = reshape(shift ? add(sloped, shift) : sloped, x.shape);
    }
    const overBatch = (t: Tensor) => reshape(sum(t, [0]), [channels]);
    if (hasGamma && needed[1] && dScale) results[1] = overBatch(mul(dScale, rstd));
    const betaAt = hasGamma ? 2 : 1;
    if (hasBeta && needed[betaAt] && dShift) results[betaAt] = overBatch(dShift);
    return results;
  };

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
