/** The encoder's answer: an independent normal distribution for every element of the latents. */
import { type Clip, type ClipShape, clipSize } from './clip.ts';

export interface Posterior {
  /** [batch, latent channels, latent frames, h, w], of `mean` and `logvar`. */
  readonly shape: ClipShape;
  /** Also the mode. Not multiplied by the scaling factor. */
  readonly mean: Float32Array;
  /** Logarithm of the variance, limited to -30 to 20. */
  readonly logvar: Float32Array;
  /** As the network gives them, [batch, 2 · latent channels, ...]: mean, then logvar without limits. */
  readonly moments: Float32Array;
}

export function posteriorOf({ shape: [batch, both, frames, height, width], data }: Clip): Posterior {
  const shape: ClipShape = [batch, both / 2, frames, height, width];
  const mean = new Float32Array(clipSize(shape));
  const logvar = new Float32Array(mean.length);
  const item = mean.length / batch;
  for (let b = 0; b < batch; b++) {
    mean.set(data.subarray(2 * b * item, (2 * b + 1) * item), b * item);
    for (let i = 0; i < item; i++) {
      logvar[b * item + i] = Math.min(20, Math.max(-30, data[(2 * b + 1) * item + i]));
    }
  }
  return { shape, mean, logvar, moments: data };
}

/**
 * mean + exp(logvar / 2) · noise.
 * @param noise standard normal, as many values as `mean`.
 */
export const samplePosterior = ({ mean, logvar }: Posterior, noise: Float32Array): Float32Array =>
  mean.map((value, i) => value + Math.exp(logvar[i] / 2) * noise[i]);
