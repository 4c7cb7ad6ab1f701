/**
 * The objective that DWM trains Wan with: the velocity from the clip to the noise, all timesteps alike.
 *
 *     noisy  = (1 - sigma) · video + sigma · noise
 *     v      = transformer(noisy | 1 | static | hand)
 *     target = noise - video
 *     loss   = mean of (v - target)²
 *
 * An element that is off by more than 50 counts as 0. Where the hands of a sample are dropped, what the network is to say
 * is that nothing happens: its target is noise - static, while noisy stays as it is.
 */
import {
  abs,
  add,
  concat,
  constant,
  less,
  mean,
  mul,
  reshape,
  slice,
  sub,
  type Tensor,
  where,
} from '@dwm/core-tensor';
import type { Tap } from '../../transformer/index.ts';
import type { Weights } from '../../weights/weights.ts';
import { IMAGE_TOKENS, type WanConfig } from '../transformer/config.ts';
import { wanTransformer } from '../transformer/forward.ts';

/** What Wan's training loss is computed from. */
export interface WanObjectiveInputs {
  /** Latents [batch, latent frames, channels, h, w] of what happened, the static scene and the hands. */
  readonly video: Tensor;
  readonly static: Tensor;
  /** Zeros where they are dropped. */
  readonly hand: Tensor;
  /** Standard normals of the same shape. */
  readonly noise: Tensor;
  /** [batch, textLength, textDim], zeros beyond each prompt. */
  readonly text: Tensor;
  /** `wanTimeTable` of the timesteps, [batch, freqDim]. */
  readonly time: Tensor;
  /** `wanLevels`, [batch, 3]. */
  readonly levels: Tensor;
}

/** What an image-to-video network gets where a picture's features belong. */
export type WanCLIPFeatures = 'none' | 'zeros';

/** How Wan's training loss is computed. */
interface WanObjectiveOptions {
  /** Blocks are computed again in the backward pass instead of being kept. */
  readonly recompute?: boolean;
  /**
   * `none`, as the original trains: the first 257 rows of the text take the picture's place. `zeros`, as the original
   * generates: the features of no picture do.
   */
  readonly clipFeatures?: WanCLIPFeatures;
  readonly tap?: Tap;
}

/** The loss, and what it was made of. */
interface WanObjective {
  /** [1] */
  readonly loss: Tensor;
  readonly noisy: Tensor;
  /** What the transformer is given: noisy, mask, static, hands. */
  readonly hidden: Tensor;
  /** What the transformer said, v. */
  readonly output: Tensor;
  readonly target: Tensor;
}

const MASK_CHANNELS = 4;
const MOST_ERROR = 50;

/** 1 - sigma, sigma, and 1 where the hands are dropped, else 0: the `levels` input. */
export const wanLevels = (sigmas: readonly number[], dropped: readonly boolean[]): Float32Array =>
  Float32Array.from(sigmas.flatMap((sigma, i) => [1 - sigma, sigma, dropped[i] ? 1 : 0]));

/** Wan's training loss: the mean squared error of the predicted velocity, noise minus clean latents. */
export function wanObjective(
  config: WanConfig,
  weights: Weights,
  inputs: WanObjectiveInputs,
  { recompute, clipFeatures = 'none', tap }: WanObjectiveOptions = {},
): WanObjective {
  const { video, noise, levels, text, time } = inputs;
  const [batch, frames, , height, width] = video.shape;
  const level = (i: number) => reshape(slice(levels, 1, i, 1), [batch, 1, 1, 1, 1]);
  const noisy = add(mul(level(0), video), mul(level(1), noise));
  const ones = new Float32Array(batch * frames * MASK_CHANNELS * height * width).fill(1);
  const mask = constant(ones, [batch, frames, MASK_CHANNELS, height, width]);
  const hidden = concat([noisy, mask, inputs.static, inputs.hand], 2);
  const output = wanTransformer(
    config,
    weights,
    { hidden, text, time, ...imageOf(config, batch, clipFeatures) },
    { ...(recompute && { recompute }), ...(tap && { tap }) },
  );
  const target = sub(noise, where(level(2), inputs.static, video));
  const error = sub(output, target);
  const counted = where(less(MOST_ERROR, abs(error)), 0, mul(error, error));
  return { loss: mean(reshape(counted, [-1]), [0], true), noisy, hidden, output, target };
}

function imageOf(
  { imageBranch, imageDim = 0 }: WanConfig,
  batch: number,
  clipFeatures: WanCLIPFeatures,
): { image?: Tensor } {
  if (!imageBranch || clipFeatures === 'none') return {};
  const shape = [batch, IMAGE_TOKENS, imageDim];
  return { image: constant(new Float32Array(batch * IMAGE_TOKENS * imageDim), shape) };
}
