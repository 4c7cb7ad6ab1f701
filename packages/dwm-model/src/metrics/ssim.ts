/**
 * Structural similarity (Wang et al. 2004) as torchmetrics computes it: data range 1, a Gaussian window of 11x11 pixels
 * and sigma 1.5, population covariance, each channel on its own; pixels whose window leaves the picture do not count.
 * In double precision.
 */
import { DwmError } from '@dwm/core-tensor';
import type { Video } from '../video/video.ts';
import { frameOf } from './clip.ts';

const SIGMA = 1.5;
const RADIUS = 5;
const SIZE = 2 * RADIUS + 1;
const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;

const WINDOW = (() => {
  const weights = Array.from({ length: SIZE }, (_, i) => Math.exp(-((i - RADIUS) ** 2) / (2 * SIGMA ** 2)));
  const sum = weights.reduce((a, b) => a + b, 0);
  return Float64Array.from(weights, (weight) => weight / sum);
})();

/** The window over [height, width], where it fits: [height - 10, width - 10]. */
function blur(x: Float64Array, height: number, width: number): Float64Array {
  const columns = width - SIZE + 1;
  const rows = height - SIZE + 1;
  const across = new Float64Array(height * columns);
  for (let y = 0; y < height; y++) {
    for (let c = 0; c < columns; c++) {
      let sum = 0;
      for (let k = 0; k < SIZE; k++) sum += WINDOW[k] * x[y * width + c + k];
      across[y * columns + c] = sum;
    }
  }
  const out = new Float64Array(rows * columns);
  for (let k = 0; k < SIZE; k++)
    for (let i = 0; i < out.length; i++) out[i] += WINDOW[k] * across[i + k * columns];
  return out;
}

/**
 * Similarity of one frame at every pixel that counts, mean of the channels.
 * @returns [height - 10, width - 10], for pixels from (5, 5) on.
 * @throws DwmError for pictures smaller than the window.
 */
export function ssimMap(prediction: Video, truth: Video): Float64Array {
  const { height, width } = truth;
  if (Math.min(height, width) < SIZE) {
    throw new DwmError('too-small', `SSIM needs ${SIZE}x${SIZE} pixels or more, got ${width}x${height}`);
  }
  const map = new Float64Array((height - SIZE + 1) * (width - SIZE + 1));
  const plane = (value: (i: number) => number) => {
    const values = new Float64Array(height * width);
    for (let i = 0; i < values.length; i++) values[i] = value(i);
    return blur(values, height, width);
  };
  for (let c = 0; c < 3; c++) {
    const p = (i: number) => prediction.data[3 * i + c] / 255;
    const t = (i: number) => truth.data[3 * i + c] / 255;
    const [mp, mt] = [plane(p), plane(t)];
    const [pp, tt, pt] = [plane((i) => p(i) ** 2), plane((i) => t(i) ** 2), plane((i) => p(i) * t(i))];
    for (let i = 0; i < map.length; i++) {
      const product = mp[i] * mt[i];
      const squares = mp[i] ** 2 + mt[i] ** 2;
      const variances = Math.max(0, pp[i] - mp[i] ** 2) + Math.max(0, tt[i] - mt[i] ** 2);
      const covariance = pt[i] - product;
      map[i] += ((2 * product + C1) * (2 * covariance + C2)) / ((squares + C1) * (variances + C2)) / 3;
    }
  }
  return map;
}

/** SSIM of a clip. */
export interface Ssim {
  /** Mean over frames. */
  readonly mean: number;
  readonly frames: readonly number[];
  /** Mean where the region is set and where it is not, of the pixels that count; undefined where there are none. */
  readonly changed?: number;
  readonly unchanged?: number;
}

/** @param region [frames, height, width] of 0 and 1. */
export function clipSsim(prediction: Video, truth: Video, region?: Uint8Array): Ssim {
  const { frames: count, height, width } = truth;
  const columns = width - SIZE + 1;
  const sums = [0, 0];
  const counts = [0, 0];
  const frames = Array.from({ length: count }, (_, f) => {
    const map = ssimMap(frameOf(prediction, f), frameOf(truth, f));
    if (region) {
      for (let i = 0; i < map.length; i++) {
        const y = Math.floor(i / columns) + RADIUS;
        const inside = region[(f * height + y) * width + (i % columns) + RADIUS];
        sums[inside] += map[i];
        counts[inside]++;
      }
    }
    return map.reduce((a, b) => a + b, 0) / map.length;
  });
  const part = (inside: number) => (counts[inside] > 0 ? sums[inside] / counts[inside] : undefined);
  return {
    mean: frames.reduce((a, b) => a + b, 0) / count,
    frames,
    ...(region && { changed: part(1), unchanged: part(0) }),
  };
}
