/**
 * Pictures at another size with a triangle filter as wide as the coarser of the two grids: linear interpolation
 * where the picture grows, a weighted mean without aliasing where it shrinks.
 */
import { checkFrames, type RgbImage } from './frames.ts';

interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

function taps(from: number, to: number): Taps[] {
  const ratio = from / to;
  const support = Math.max(1, ratio);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * ratio - 0.5;
    const first = Math.max(0, Math.ceil(center - support));
    const last = Math.min(from - 1, Math.floor(center + support));
    const weights = Array.from(
      { length: last - first + 1 },
      (_, k) => 1 - Math.abs(first + k - center) / support,
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** `image` as [height, width, 3]. */
export function resizeSmooth(image: RgbImage, height: number, width: number): RgbImage {
  checkFrames('image', { ...image, frames: 1, fps: 1 });
  if (image.height === height && image.width === width) return { ...image, data: image.data.slice() };
  const rows = new Float32Array(image.height * width * 3);
  for (const [x, { first, weights }] of taps(image.width, width).entries()) {
    for (let y = 0; y < image.height; y++) {
      let [r, g, b] = [0, 0, 0];
      for (let k = 0, at = (y * image.width + first) * 3; k < weights.length; k++, at += 3) {
        r += weights[k] * image.data[at];
        g += weights[k] * image.data[at + 1];
        b += weights[k] * image.data[at + 2];
      }
      const to = (y * width + x) * 3;
      rows[to] = r;
      rows[to + 1] = g;
      rows[to + 2] = b;
    }
  }
  const data = new Uint8Array(height * width * 3);
  const line = new Float32Array(width * 3);
  for (const [y, { first, weights }] of taps(image.height, height).entries()) {
    line.fill(0);
    for (const [k, weight] of weights.entries()) {
      const from = (first + k) * width * 3;
      for (let i = 0; i < line.length; i++) line[i] += weight * rows[from + i];
    }
    for (let i = 0; i < line.length; i++) data[y * line.length + i] = Math.round(line[i]);
  }
  return { data, height, width };
}
