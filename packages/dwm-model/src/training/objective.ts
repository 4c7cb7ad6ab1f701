/**
 * The DWM objective, exactly as the original trains: v-prediction turned into x0, every timestep weighted by
 * 1 / (1 - alphasCumprod).
 *
 *     noisy = a·video + s·noise        a = sqrt(alphasCumprod[t]), s = sqrt(1 - alphasCumprod[t])
 *     x0    = a·noisy - s·v            v = transformer(noisy | mask | static | hand)
 *     loss  = mean( (x0 - video)² / (1 - alphasCumprod[t]) )
 */
import { add, concat, constant, mean, mul, reshape, slice, sub, type Tensor } from '@dwm/core-tensor';
import { type Tap, type TransformerConfig, transformer } from '../transformer/index.ts';
import type { Weights } from '../weights/weights.ts';

export interface ObjectiveInputs {
  /** Scaled latents [batch, latent frames, 16, h, w] of what happened, the static scene and the hands. */
  readonly video: Tensor;
  readonly static: Tensor;
  /** Without it the network has no channels for hands: the inpainting prior. */
  readonly hand?: Tensor;
  /** Scaled visibility of `static` [batch, latent frames, 1, h, w]; all of it is visible where left out, as in DWM. */
  readonly mask?: Tensor;
  /** Standard normals of the same shape. */
  readonly noise: Tensor;
  /** [batch, tokens, dim] */
  readonly text: Tensor;
  /** `timestepTable`, [batch, innerDim]. */
  readonly time: Tensor;
  /** `noiseLevels` of the timesteps, [batch, 3]. */
  readonly levels: Tensor;
}

/** a, s and the weight of each timestep: the `levels` input. alphasCumprod is float32 here, as in the original. */
export function noiseLevels(timesteps: readonly number[], alphasCumprod: Float64Array): Float32Array {
  return Float32Array.from(
    timesteps.flatMap((t) => {
      const acp = Math.fround(alphasCumprod[t]);
      return [Math.sqrt(acp), Math.sqrt(1 - acp), 1 / (1 - acp)];
    }),
  );
}

export interface Objective {
  /** [1] */
  readonly loss: Tensor;
  readonly noisy: Tensor;
  /** What the transformer said, v. */
  readonly output: Tensor;
  readonly x0: Tensor;
}

/** @param options `recompute`: blocks are computed again in the backward pass instead of being kept. */
export function dwmObjective(
  config: TransformerConfig,
  weights: Weights,
  scalingFactor: number,
  inputs: ObjectiveInputs,
  options: { readonly recompute?: boolean; readonly tap?: Tap } = {},
): Objective {
  const { video, noise, levels } = inputs;
  const [batch, frames, , height, width] = video.shape;
  const level = (i: number) => reshape(slice(levels, 1, i, 1), [batch, 1, 1, 1, 1]);
  const [a, s, weight] = [level(0), level(1), level(2)];
  const noisy = add(mul(a, video), mul(s, noise));
  const maskCount = batch * frames * height * width;
  const mask =
    inputs.mask ??
    constant(new Float32Array(maskCount).fill(scalingFactor), [batch, frames, 1, height, width]);
  const hidden = concat([noisy, mask, inputs.static, ...(inputs.hand ? [inputs.hand] : [])], 2);
  const given = { hidden, text: inputs.text, time: inputs.time };
  const output = transformer(config, weights, given, options.tap, options.recompute);
  const x0 = sub(mul(a, noisy), mul(s, output));
  const error = sub(x0, video);
  const loss = mean(reshape(mul(weight, mul(error, error)), [-1]), [0], true);
  return { loss, noisy, output, x0 };
}
