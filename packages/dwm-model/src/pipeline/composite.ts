/**
 * Compositing: what nothing has touched stays as it was, to the pixel. A VAE loses detail and a denoiser adds errors
 * everywhere; where a generated frame shows the static scene to within such errors, the static video's own pixels are
 * put in its place, with a soft edge:
 *
 *     d = sqrt( blur( mean over channels (generated - decoded)² ) )
 *     y = static + clamp((d - SAME) / (OTHER - SAME), 0, 1) · (generated - static)
 *
 * `decoded` is what the VAE makes of the static video, so that what it loses is no difference. Not in the original.
 */
import type { ClipSize } from './clip.ts';

/** In steps of 8 bits: a difference up to SAME is none, and from OTHER on nothing of the static video is left. */
const [SAME, OTHER] = [6, 18];
/** Of which [-1, 1] has 255. */
const STEP = 2 / 255;

/**
 * Composites `generated` over the static video, in place.
 * @param generated [3, frames, height, width] in [-1, 1]; frames past those of `still` stay as they are.
 * @param decoded of the same shape: the static video encoded and decoded.
 * @param still the static video itself, [3, size.frames, size.height, size.width].
 * @param sigma standard deviation of the blur, pixels.
 */
export function compositeStatic(
  generated: Float32Array,
  decoded: Float32Array,
  still: Float32Array,
  { frames, height, width }: ClipSize,
  sigma: number,
): void {
  const pixels = height * width;
  const made = generated.length / 3;
  const window = gaussian(sigma);
  const squares = new Float64Array(pixels);
  for (let f = 0; f < frames; f++) {
    squares.fill(0);
    for (let c = 0; c < 3; c++) {
      const at = c * made + f * pixels;
      for (let i = 0; i < pixels; i++) squares[i] += (generated[at + i] - decoded[at + i]) ** 2 / 3;
    }
    const blurred = blurLines(blurLines(squares, window, width, 1), window, height, width);
    for (let i = 0; i < pixels; i++) {
      const steps = Math.sqrt(blurred[i]) / STEP;
      const share = Math.min(1, Math.max(0, (steps - SAME) / (OTHER - SAME)));
      for (let c = 0; c < 3; c++) {
        const own = still[(c * frames + f) * pixels + i];
        const at = c * made + f * pixels + i;
        generated[at] = own + share * (generated[at] - own);
      }
    }
  }
}

/** Weights of neighbours from 0 pixels away to three deviations. */
const gaussian = (sigma: number): number[] =>
  Array.from({ length: Math.ceil(3 * sigma) + 1 }, (_, i) => Math.exp(-(i ** 2) / (2 * sigma ** 2)));

/** A picture blurred along one axis of `length` pixels that lie `stride` apart; beyond its edges nothing counts. */
function blurLines(x: Float64Array, window: readonly number[], length: number, stride: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const at = Math.floor(i / stride) % length;
    let [sum, weight] = [window[0] * x[i], window[0]];
    for (let k = 1; k < window.length; k++) {
      if (at >= k) [sum, weight] = [sum + window[k] * x[i - k * stride], weight + window[k]];
      if (at + k < length) [sum, weight] = [sum + window[k] * x[i + k * stride], weight + window[k]];
    }
    out[i] = sum / weight;
  }
  return out;
}
