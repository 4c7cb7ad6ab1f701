/**
 * torchvision's `resize` of pictures: bilinear, with the kernel widened where the picture shrinks, so that no pixel is
 * passed over (PyTorch's `interpolate` with `antialias=True`). Columns come before rows.
 */
import type { VideoSize } from '../../video/video.ts';

/** Of every output pixel along an axis: the first input pixel under the kernel, and the weights from there on. */
function taps(from: number, to: number): { readonly first: number; readonly weights: readonly number[] }[] {
  const ratio = from / to;
  const reach = Math.max(1, ratio);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * ratio;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(from, Math.trunc(center + reach + 0.5));
    const raw = Array.from({ length: end - first }, (__, k) =>
      Math.max(0, 1 - Math.abs((first + k - center + 0.5) / reach)),
    );
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, weights: raw.map((weight) => weight / sum) };
  });
}

/** @param data [rows, length, inner]. @returns [rows, to, inner]. */
function along(
  data: ArrayLike<number>,
  rows: number,
  length: number,
  inner: number,
  to: number,
): Float32Array {
  const out = new Float32Array(rows * to * inner);
  const axis = taps(length, to);
  let o = 0;
  for (let row = 0; row < rows; row++) {
    for (const { first, weights } of axis) {
      for (let c = 0; c < inner; c++) {
        let sum = 0;
        let at = (row * length + first) * inner + c;
        for (const weight of weights) {
          sum += weight * data[at];
          at += inner;
        }
        out[o++] = sum;
      }
    }
  }
  return out;
}

/**
 * @param data [frames, height, width, 3] of `size`.
 * @returns the same at another height and width.
 */
export function resizeAntialiased(
  data: ArrayLike<number>,
  { frames, height, width }: VideoSize,
  to: Pick<VideoSize, 'height' | 'width'>,
): ArrayLike<number> {
  const columns = width === to.width ? data : along(data, frames * height, width, 3, to.width);
  return height === to.height ? columns : along(columns, frames, height, 3 * to.width, to.height);
}
