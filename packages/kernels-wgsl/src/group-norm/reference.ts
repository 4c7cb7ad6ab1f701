/** Group normalization in float64. */
import type { GroupNormShape } from './shapes.ts';

export function groupNormReference(
  x: ArrayLike<number>,
  { batch, positions, channels, groups }: GroupNormShape,
  eps: number,
  gamma?: ArrayLike<number>,
  beta?: ArrayLike<number>,
): Float64Array {
  const out = new Float64Array(x.length);
  const width = channels / groups;
  const size = positions * width;
  for (let b = 0; b < batch; b++) {
    for (let g = 0; g < groups; g++) {
      const start = b * positions * channels + g * width;
      const each = (visit: (i: number, channel: number) => void) => {
        for (let p = 0; p < positions; p++)
          for (let c = 0; c < width; c++) visit(start + p * channels + c, g * width + c);
      };
      let mean = 0;
      each((i) => {
        mean += x[i] / size;
      });
      let variance = 0;
      each((i) => {
        variance += (x[i] - mean) ** 2 / size;
      });
      const rstd = 1 / Math.sqrt(variance + eps);
      each((i, channel) => {
        out[i] = (x[i] - mean) * rstd * (gamma?.[channel] ?? 1) + (beta?.[channel] ?? 0);
      });
    }
  }
  return out;
}

/** Gradients of `groupNormReference` for the gradient `g` of its result. */
export function groupNormBackwardReference(
  x: ArrayLike<number>,
  g: ArrayLike<number>,
  { batch, positions, channels, groups }: GroupNormShape,
  eps: number,
  gamma?: ArrayLike<number>,
): { dx: Float64Array; dgamma: Float64Array; dbeta: Float64Array } {
  const dx = new Float64Array(x.length);
  const dgamma = new Float64Array(channels);
  const dbeta = new Float64Array(channels);
  const width = channels / groups;
  const size = positions * width;
  for (let b = 0; b < batch; b++)
    for (let group = 0; group < groups; group++) {
      const each = (visit: (i: number, channel: number) => void) => {
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
      const rstd = 1 / Math.sqrt(variance + eps);
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
