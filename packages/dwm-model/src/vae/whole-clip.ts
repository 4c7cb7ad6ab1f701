/**
 * Encoder and decoder over a whole clip in one graph: the stretches of `ClipNetwork`, unrolled with their caches,
 * so that gradients reach back through them. Inference runs the stretches one by one instead, which takes less
 * memory and gives the same numbers.
 */
import { concat, slice, type Tensor } from '@dwm/core-tensor';
import type { Weights } from '../weights/weights.ts';
import type { VaeConfig } from './config.ts';
import { decodeFrames } from './decoder.ts';
import { encodeFrames } from './encoder.ts';
import type { ConvCaches, Stretch } from './layers.ts';
import { LATENT_FRAMES, SAMPLE_FRAMES, stretches } from './stretches.ts';

type VaeWeights = Pick<Weights, 'get' | 'has'>;

function unrolled(
  network: (stretch: Stretch, x: Tensor) => Tensor,
  stretchFrames: number,
  config: VaeConfig,
  parameters: VaeWeights,
  x: Tensor,
): Tensor {
  const parts: Tensor[] = [];
  let caches: ConvCaches | undefined;
  let frame = 0;
  for (const frames of stretches(x.shape[1], stretchFrames)) {
    const stretch: Stretch = { config, parameters, caches, nextCaches: {} };
    parts.push(network(stretch, slice(x, 1, frame, frames)));
    caches = stretch.nextCaches;
    frame += frames;
  }
  return parts.length === 1 ? parts[0] : concat(parts, 1);
}

/** [batch, frames, height, width, colours] to moments [batch, latent frames, h, w, 2 · latent channels]. */
export const encodeWhole = (config: VaeConfig, weights: VaeWeights, x: Tensor): Tensor =>
  unrolled(encodeFrames, SAMPLE_FRAMES, config, weights, x);

/** Latents [batch, latent frames, h, w, latent channels] to [batch, frames, height, width, colours]. */
export const decodeWhole = (config: VaeConfig, weights: VaeWeights, z: Tensor): Tensor =>
  unrolled(decodeFrames, LATENT_FRAMES, config, weights, z);
