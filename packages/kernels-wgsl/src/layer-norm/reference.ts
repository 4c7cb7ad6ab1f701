/** Layer and root-mean-square normalization in float64. */
export interface LayerNormReference {
  readonly eps: number;
  readonly center: boolean;
  readonly gamma?: ArrayLike<number>;
  readonly beta?: ArrayLike<number>;
}

/** Of the row that begins at `at`; without `center` its mean counts as 0. */
function momentsOf(x: ArrayLike<number>, at: number, channels: number, eps: number, center: boolean) {
  let mean = 0;
  if (center) for (let c = 0; c < channels; c++) mean += x[at + c] / channels;
  let variance = 0;
  for (let c = 0; c < channels; c++) variance += (x[at + c] - mean) ** 2 / channels;
  return { mean, rstd: 1 / Math.sqrt(variance + eps) };
}

/** @param x rows of `channels` values. */
export function layerNormReference(
  x: ArrayLike<number>,
  channels: number,
  { eps, center, gamma, beta }: LayerNormReference,
): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += channels) {
    const { mean, rstd } = momentsOf(x, at, channels, eps, center);
    for (let c = 0; c < channels; c++)
      out[at + c] = (x[at + c] - mean) * rstd * (gamma?.[c] ?? 1) + (beta?.[c] ?? 0);
  }
  return out;
}

/** Gradients of `layerNormReference` for the gradient `g` of its result. */
export function layerNormBackwardReference(
  x: ArrayLike<number>,
  g: ArrayLike<number>,
  channels: number,
  { eps, center, gamma }: Omit<LayerNormReference, 'beta'>,
): { dx: Float64Array; dgamma: Float64Array; dbeta: Float64Array } {
  const dx = new Float64Array(x.length);
  const dgamma = new Float64Array(channels);
  const dbeta = new Float64Array(channels);
  for (let at = 0; at < x.length; at += channels) {
    const { mean, rstd } = momentsOf(x, at, channels, eps, center);
    const h = (c: number) => (x[at + c] - mean) * rstd;
    const G = (c: number) => g[at + c] * (gamma?.[c] ?? 1);
    let meanG = 0;
    let meanGh = 0;
    for (let c = 0; c < channels; c++) {
      if (center) meanG += G(c) / channels;
      meanGh += (G(c) * h(c)) / channels;
      dgamma[c] += g[at + c] * h(c);
      dbeta[c] += g[at + c];
    }
    for (let c = 0; c < channels; c++) dx[at + c] = rstd * (G(c) - meanG - h(c) * meanGh);
  }
  return { dx, dgamma, dbeta };
}
