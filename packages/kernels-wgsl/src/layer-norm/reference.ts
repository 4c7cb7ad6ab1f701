/** Layer and root-mean-square normalization in float64. */
export interface LayerNormReference {
  readonly eps: number;
  readonly center: boolean;
  readonly gamma?: ArrayLike<number>;
  readonly beta?: ArrayLike<number>;
}

/** @param x rows of `channels` values. */
export function layerNormReference(
  x: ArrayLike<number>,
  channels: number,
  { eps, center, gamma, beta }: LayerNormReference,
): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += channels) {
    let mean = 0;
    if (center) for (let c = 0; c < channels; c++) mean += x[at + c] / channels;
    let variance = 0;
    for (let c = 0; c < channels; c++) variance += (x[at + c] - mean) ** 2 / channels;
    const rstd = 1 / Math.sqrt(variance + eps);
    for (let c = 0; c < channels; c++)
      out[at + c] = (x[at + c] - mean) * rstd * (gamma?.[c] ?? 1) + (beta?.[c] ?? 0);
  }
  return out;
}
