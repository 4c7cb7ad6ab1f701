/**
 * The DWM objective, exactly as the original trains: v-prediction turned into x0, every timestep weighted by
 * 1 / (1 - alphasCumprod).
 *
 *     noisy = a·video + s·noise        a = sqrt(alphasCumprod[t]), s = sqrt(1 - alphasCumprod[t])
 *     x0    = a·noisy - s·v            v = transformer(noisy | mask | static | hand)
 *     loss  = mean( (x0 - video)² / (1 - alphasCumprod[t]) )
 *
 * With `changeWeight` c, the original's being 0, the squared error of a latent pixel counts 1 + c · d / (d + 0.1) times,
 * d its mean over channels of (video - static)²: an action changes little of a clip, and a network that is unsure of
 * the outcome would rather leave everything as it was.
 *
 * With `huberC` h, the original's being 0, the pseudo-Huber loss 2h (sqrt(e² + h²) - h) takes the place of the squared
 * error e²: equal to it where e is small, and linear where it is large, so that a network that is unsure of the outcome
 * says the likely one in place of the mean of all.
 */
import {
  add,
  concat,
  constant,
  div,
  mean,
  mul,
  repeat,
  reshape,
  slice,
  sqrt,
  stopGradient,
  sub,
  type Tensor,
} from '@dwm/core-tensor';
import {
  type Tap,
  type TransformerConfig,
  type TransformerInputs,
  transformer,
} from '../transformer/index.ts';
import type { Weights } from '../weights/weights.ts';
import { type BlockPlace, ownHistory, partAt } from './own-history.ts';

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
  /** `timestepTable`, [batch, innerDim]; of a causal network, [batch, blocks, innerDim]. */
  readonly time: Tensor;
  /** `noiseLevels` of the timesteps, [batch, 3]; of a causal network, [batch, blocks, 3]. */
  readonly levels: Tensor;
  /** Of a causal network: likewise of the clip's own blocks that the others see. */
  readonly historyNoise?: Tensor;
  readonly historyTime?: Tensor;
  readonly historyLevels?: Tensor;
  /**
   * [batch, blocks], with a history: 1 for blocks that the others see as the network makes them after those before, 0
   * for the clip's own. All are the clip's own if left out.
   */
  readonly own?: Tensor;
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

interface Objective {
  /** [1] */
  readonly loss: Tensor;
  readonly noisy: Tensor;
  /** What the transformer said, v. */
  readonly output: Tensor;
  readonly x0: Tensor;
  /** What the blocks of a causal network were seen as before they were noised, of the video's shape. */
  readonly history: Tensor;
}

/** The d at which a latent pixel gets half of what changes can add. */
const HALF_CHANGED = 0.1;

export interface ObjectiveOptions {
  /** Blocks are computed again in the backward pass instead of being kept. */
  readonly recompute?: boolean;
  /** How many times more than the rest counts what differs from the static scene; 0 if left out. */
  readonly changeWeight?: number;
  /** Error from which on the loss is linear; 0, squared everywhere, if left out. */
  readonly huberC?: number;
  readonly tap?: Tap;
}

export function dwmObjective(
  config: TransformerConfig,
  weights: Weights,
  scalingFactor: number,
  inputs: ObjectiveInputs,
  { recompute, changeWeight = 0, huberC = 0, tap }: ObjectiveOptions = {},
): Objective {
  const { video, noise } = inputs;
  const [batch, frames, , height, width] = video.shape;
  const blockFrames = config.causal?.block_frames ?? frames;
  const levelsOf = (levels: Tensor) => [0, 1, 2].map((i) => ofFrames(levels, i, blockFrames, frames));
  const [a, s, weight] = levelsOf(inputs.levels);
  const noisy = add(mul(a, video), mul(s, noise));
  const maskCount = batch * frames * height * width;
  const mask =
    inputs.mask ??
    constant(new Float32Array(maskCount).fill(scalingFactor), [batch, frames, 1, height, width]);
  /** `latents` of a place, the whole clip if left out, beside what else is known there. */
  const hiddenOf = (latents: Tensor, place?: BlockPlace) => {
    const beside = [mask, inputs.static, ...(inputs.hand ? [inputs.hand] : [])];
    return concat([latents, ...beside.map((x) => partAt(x, place))], 2);
  };
  const cleanOf = (said: Tensor, place?: BlockPlace) =>
    sub(mul(partAt(a, place), partAt(noisy, place)), mul(partAt(s, place), said));
  const given = { hidden: hiddenOf(noisy), text: inputs.text, time: inputs.time };
  const { causal } = config;
  const { historyNoise, historyTime, historyLevels, own } = inputs;
  let history = video;
  let seen: TransformerInputs['history'];
  if (causal && historyNoise && historyTime && historyLevels) {
    const [share, deviation] = levelsOf(historyLevels);
    const noised = (clip: Tensor, place?: BlockPlace) =>
      hiddenOf(
        add(mul(partAt(share, place), clip), mul(partAt(deviation, place), partAt(historyNoise, place))),
        place,
      );
    if (own) {
      const clip = { ...given, historyTime, video, own, clean: cleanOf, seen: noised };
      history = stopGradient(ownHistory(config, causal, weights, clip));
    }
    seen = { hidden: noised(history), time: historyTime };
  }
  const output = transformer(config, weights, { ...given, ...(seen && { history: seen }) }, tap, recompute);
  const x0 = cleanOf(output);
  const error = sub(x0, video);
  const missed = mul(weight, huberC > 0 ? pseudoHuber(error, huberC) : mul(error, error));
  const counted =
    changeWeight > 0
      ? mul(missed, importance(sub(video, inputs.static), 2, HALF_CHANGED, changeWeight))
      : missed;
  const loss = mean(reshape(counted, [-1]), [0], true);
  return { loss, noisy, output, x0, history };
}

/** Column `i` of levels [batch, 3] or [batch, blocks, 3], as it broadcasts to latents [batch, frames, …]. */
function ofFrames(levels: Tensor, i: number, blockFrames: number, frames: number): Tensor {
  const [batch] = levels.shape;
  const column = slice(levels, levels.shape.length - 1, i, 1);
  if (levels.shape.length === 2) return reshape(column, [batch, 1, 1, 1, 1]);
  return reshape(slice(repeat(column, 1, blockFrames), 1, 0, frames), [batch, frames, 1, 1, 1]);
}

/** Written so that small errors lose no digits: 2h (sqrt(e² + h²) - h) = 2h e² / (sqrt(e² + h²) + h). */
function pseudoHuber(error: Tensor, h: number): Tensor {
  const squared = mul(error, error);
  return mul(div(squared, add(sqrt(add(squared, h * h)), h)), 2 * h);
}

/**
 * How often each place counts, 1 + c · d / (d + h), d the mean of `change` squared over `colours`.
 * @param h the d at which a place gets half of what changes can add.
 */
export function importance(change: Tensor, colours: number, h: number, c: number): Tensor {
  const d = mean(mul(change, change), [colours], true);
  return add(mul(div(d, add(d, h)), c), 1);
}
