import type { Video } from '../video/video.ts';

/**
 * Peak signal-to-noise ratio with data range 1, in decibels. Over a whole clip it is 10 log10(1 / MSE) of all frames
 * together, as torchmetrics has it; the mean of the frames' own numbers is another, higher figure.
 */

/** What equal pictures get, and the most there is: a mean and JSON cannot hold infinity. */
const BEST_PSNR = 100;

const decibels = (mse: number) => Math.min(BEST_PSNR, -10 * Math.log10(mse));

/** Mean squared error of values in [0, 1], of every frame; over the `region`'s pixels [frames, height, width] alone. */
function errors(prediction: Video, truth: Video, region?: Uint8Array, inside = 1) {
  const pixels = truth.height * truth.width;
  return Array.from({ length: truth.frames }, (_, f) => {
    let sum = 0;
    let count = 0;
    for (let p = f * pixels; p < (f + 1) * pixels; p++) {
      if (region && region[p] !== inside) continue;
      count += 3;
      for (let i = 3 * p; i < 3 * p + 3; i++) sum += (prediction.data[i] - truth.data[i]) ** 2;
    }
    return { sum: sum / 255 ** 2, count };
  });
}

function overall(parts: readonly { sum: number; count: number }[]): number | undefined {
  const count = parts.reduce((total, part) => total + part.count, 0);
  return count > 0 ? decibels(parts.reduce((total, part) => total + part.sum, 0) / count) : undefined;
}

/** PSNR in dB. */
export interface Psnr {
  readonly wholeClip: number;
  readonly meanOfFrames: number;
  readonly frames: readonly number[];
}

/** PSNR of a clip against the truth. */
export function clipPsnr(prediction: Video, truth: Video): Psnr {
  const parts = errors(prediction, truth);
  const frames = parts.map(({ sum, count }) => decibels(sum / count));
  return {
    wholeClip: overall(parts)!,
    meanOfFrames: frames.reduce((a, b) => a + b, 0) / frames.length,
    frames,
  };
}

/** PSNR of the pixels at which `region` is `inside`, of all frames together; undefined where there are none. */
export const regionPsnr = (
  prediction: Video,
  truth: Video,
  region: Uint8Array,
  inside: 0 | 1,
): number | undefined => overall(errors(prediction, truth, region, inside));

/** PSNR of values in [-1, 1] before they are bytes; what leaves the range is cut, as a picture would be. */
export function valuesPsnr(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < want.length; i++) {
    const error = (Math.min(1, Math.max(-1, got[i])) - want[i]) / 2;
    total += error * error;
  }
  return decibels(total / want.length);
}
