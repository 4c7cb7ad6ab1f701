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
