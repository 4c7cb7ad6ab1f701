/** Group normalization in float64. */
import type { GroupNormShape } from './shapes.ts';

interface Group {
  readonly mean: number;
  readonly rstd: number;
  /** How many elements it has. */
  readonly size: number;
  each(visit: (i: number, channel: number) => void): void;
}

function* groupsOf(
  x: ArrayLike<number>,
  { batch, positions, channels, groups }: GroupNormShape,
  eps: number,
): Generator<Group> {
  const width = channels / groups;
  const size = positions * width;
  for (let b = 0; b < batch; b++)
    for (let group = 0; group < groups; group++) {
      const each: Group['each'] = (visit) => {
        for (let p = 0; p < positions; p++)
          for (let c = 0; c < width; c++)
            visit((b * positions + p) * channels + group * width + c, group * width + c);
      };
      let mean = 0;
      each((i) => {
        mean += x[i] / size;
      });
      let variance = 0;
      each((i) => {
        variance += (x[i] - mean) ** 2 / size;
      });
      yield { mean, rstd: 1 / Math.sqrt(variance + eps), size, each };
    }
}

/** Group normalization of x [batch, positions, channels] in float64. */
export function groupNormReference(
  x: ArrayLike<number>,
  shape: GroupNormShape,
  eps: number,
  gamma?: ArrayLike<number>,
  beta?: ArrayLike<number>,
): Float64Array {
  const out = new Float64Array(x.length);
  for (const { mean, rstd, each } of groupsOf(x, shape, eps))
    each((i, c) => {
      out[i] = (x[i] - mean) * rstd * (gamma?.[c] ?? 1) + (beta?.[c] ?? 0);
    });
  return out;
}

/** Gradients of `groupNormReference` for the gradient `g` of its result. */
export function groupNormBackwardReference(
  x: ArrayLike<number>,
  g: ArrayLike<number>,
  shape: GroupNormShape,
  eps: number,
  gamma?: ArrayLike<number>,
): { dx: Float64Array; dgamma: Float64Array; dbeta: Float64Array } {
  const dx = new Float64Array(x.length);
  const dgamma = new Float64Array(shape.channels);
  const dbeta = new Float64Array(shape.channels);
  for (const { mean, rstd, size, each } of groupsOf(x, shape, eps)) {
    let meanG = 0;
    let meanGh = 0;
    each((i, c) => {
      const h = (x[i] - mean) * rstd;
      dgamma[c] += g[i] * h;
      dbeta[c] += g[i];
      meanG += (g[i] * (gamma?.[c] ?? 1)) / size;
      meanGh += (g[i] * (gamma?.[c] ?? 1) * h) / size;
    });
    each((i, c) => {
      const h = (x[i] - mean) * rstd;
      dx[i] = rstd * (g[i] * (gamma?.[c] ?? 1) - meanG - h * meanGh);
    });
  }
  return { dx, dgamma, dbeta };
}
