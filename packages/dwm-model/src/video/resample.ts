/**
 * Resizing with a kernel that is widened where the picture shrinks, so that no pixel is passed over: what Pillow and
 * PyTorch's `interpolate` with `antialias=True` have in common.
 */

/** Weights of the input pixels from `first` on under the kernel of one output pixel. */
interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

/**
 * Of every output pixel along an axis, weights that sum to 1 but for rounding.
 * @param reach of the kernel to each side, in pixels.
 */
export function axisTaps(
  from: number,
  to: number,
  reach: number,
  kernel: (distance: number) => number,
): Taps[] {
  const ratio = from / to;
  const stretch = Math.max(1, ratio);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * ratio;
    const first = Math.max(0, Math.trunc(center - reach * stretch + 0.5));
    const end = Math.min(from, Math.trunc(center + reach * stretch + 0.5));
    const raw = Array.from({ length: end - first }, (__, k) =>
      kernel((first + k - center + 0.5) * (1 / stretch)),
    );
    const share = 1 / raw.reduce((a, b) => a + b, 0);
    return { first, weights: raw.map((weight) => weight * share) };
  });
}

/**
 * Weighed sums along the middle axis of `data` [rows, length, inner], into `out` [rows, taps, inner].
 * @param start is added to every sum, and `finish` makes of it what is written.
 */
export function resampleAxis<T extends Uint8Array | Float32Array>(
  data: ArrayLike<number>,
  length: number,
  inner: number,
  taps: readonly Taps[],
  out: T,
  start = 0,
  finish: (sum: number) => number = (sum) => sum,
): T {
  const rows = data.length / (length * inner);
  let o = 0;
  for (let row = 0; row < rows; row++) {
    for (const { first, weights } of taps) {
      for (let c = 0; c < inner; c++) {
        let sum = start;
        let at = (row * length + first) * inner + c;
        for (const weight of weights) {
          sum += weight * data[at];
          at += inner;
        }
        out[o++] = finish(sum);
      }
    }
  }
  return out;
}
