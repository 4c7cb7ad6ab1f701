/**
 * What the VAE's decoder is trained for where it is to be sharp: from the latents of a clip, or from those that the
 * transformer predicts, which are a mean of all that may happen, a picture that could be real.
 *
 *     y = decoder(latents)         e = y - clip         w = 1 + c · d / (d + 0.01), over its mean
 *     base  = mean(w |e|) + g · (|Δx e| + |Δy e| + |Δt e|) / 3
 *           + k · mean(w (r(y) - r(clip))²) + p · mean |f(y) - f(clip)|
 *     loss  = base - a · λ · mean(w D(y, static))
 *     judge = mean(w max(0, 1 - D(clip, static))) + mean(w max(0, 1 + D(y, static)))
 *
 * d is the mean over colours of (clip - static)², so that what changes counts most. r is the root of the mean squared
 * gradient of luma in boxes of 8 pixels, at full and at half size: edges as strong as the truth's, not just where the
 * truth has them, since a place that is not known makes a plain error prefer a blur. f are the features of the
 * discriminator D (Wang et al., arXiv:1711.11585); λ = |∂base/∂y| / |∂D/∂y| makes the adversarial part a times as strong
 * as the rest (Esser et al., arXiv:2012.09841). The hinges train D alone, and D's part of `loss` the decoder alone, both
 * in one step.
 */
import {
  abs,
  add,
  constant,
  conv3d,
  div,
  grad,
  maximum,
  mean,
  minimum,
  mul,
  reshape,
  slice,
  sqrt,
  stopGradient,
  sub,
  sum,
  type Tensor,
} from '@dwm/core-tensor';
import { decodeWhole, type VaeConfig } from '../vae/index.ts';
import type { Weights } from '../weights/weights.ts';
import { judge, SCORE_PIXELS } from './discriminator.ts';
import { importance } from './objective.ts';
import { differences } from './vae-objective.ts';

export interface DecoderObjectiveOptions {
  /** c, g, k, p and a. */
  readonly changeWeight: number;
  readonly gradientWeight: number;
  readonly contrastWeight: number;
  readonly featureWeight: number;
  readonly adversarialWeight: number;
}

interface DecoderObjectiveInputs {
  /** [batch, latent frames, h, w, latent channels], not multiplied by the scaling factor. */
  readonly latents: Tensor;
  /** [batch, frames, height, width, 3] in [-1, 1]. */
  readonly clip: Tensor;
  /** The static clip, likewise. */
  readonly still: Tensor;
}

interface DecoderObjective {
  /** All of it, [1]; the others are parts of it. */
  readonly loss: Tensor;
  readonly base: Tensor;
  readonly adversarial: Tensor;
  /** λ. */
  readonly balance: Tensor;
  readonly judgement: Tensor;
  /** [batch, frames, height, width, 3] */
  readonly output: Tensor;
}

/** The d at which a pixel gets half of what changes can add: a difference of 13 of 255. */
const HALF_CHANGED = 0.01;
/** Side of the boxes that gradients are compared in, and the step from one to the next. */
const BOX = 8;
const BOX_STEP = 2;
/** Keeps the root's slope finite: a gradient of 1 of 255. */
const FLAT = (2 / 255) ** 2;
const MOST_BALANCE = 1e4;

const all = (x: Tensor) => [...x.shape.keys()];
const meanOf = (x: Tensor) => reshape(mean(x, all(x)), [1]);
const meanSize = (x: Tensor) => meanOf(abs(x));

/** @param weights of the decoder, and of the discriminator where it counts. */
export function decoderObjective(
  config: VaeConfig,
  weights: Pick<Weights, 'get' | 'has'>,
  { latents, clip, still }: DecoderObjectiveInputs,
  options: DecoderObjectiveOptions,
): DecoderObjective {
  const { changeWeight, gradientWeight, contrastWeight, featureWeight, adversarialWeight } = options;
  const output = decodeWhole(config, weights, latents);
  const weight = pixelWeight(sub(clip, still), changeWeight);
  const error = sub(output, clip);
  const terms = [meanOf(mul(weight, abs(error)))];
  if (gradientWeight > 0) terms.push(mul(differences(error, meanSize), gradientWeight));
  if (contrastWeight > 0) terms.push(mul(contrast(output, clip, weight), contrastWeight));
  const zero = constant(new Float32Array(1), [1]);
  if (featureWeight === 0 && adversarialWeight === 0) {
    const base = terms.reduce(add);
    return { loss: base, base, adversarial: zero, balance: zero, judgement: zero, output };
  }

  const [, height, width] = weight.shape.slice(1);
  const [rows, columns] = [height / SCORE_PIXELS, width / SCORE_PIXELS];
  const blocks = reshape(weight, [-1, rows, SCORE_PIXELS, columns, SCORE_PIXELS]);
  const real = judge(weights, clip, still);
  const placeWeight = reshape(mean(blocks, [2, 4]), real.scores.shape);
  const weighed = (scores: Tensor) => meanOf(mul(placeWeight, scores));
  // What judges a frame gets no gradient from it.
  const frozen = { get: (name: string) => stopGradient(weights.get(name)) };
  const made = judge(frozen, output, still);
  if (featureWeight > 0) {
    const wanted = real.features.map(stopGradient);
    const missed = made.features.map((feature, i) => meanSize(sub(feature, wanted[i])));
    terms.push(mul(missed.reduce(add), featureWeight / missed.length));
  }
  const base = terms.reduce(add);
  const caught = judge(weights, stopGradient(output), still);
  const judgement = add(
    weighed(maximum(add(mul(real.scores, -1), 1), 0)),
    weighed(maximum(add(caught.scores, 1), 0)),
  );
  const adversarial = mul(weighed(made.scores), -1);
  const balance = stopGradient(balanced(base, adversarial, output));
  const pulled = adversarialWeight > 0 ? add(base, mul(mul(adversarial, balance), adversarialWeight)) : base;
  return { loss: add(pulled, judgement), base, adversarial, balance, judgement, output };
}

/** |∂base/∂y| / |∂adversarial/∂y|, [1]. */
function balanced(base: Tensor, adversarial: Tensor, output: Tensor): Tensor {
  const [a, b] = [base, adversarial].map((loss) => {
    const [slope] = grad(loss, [output]);
    return sqrt(sum(mul(slope, slope), all(slope)));
  });
  return reshape(minimum(div(a, add(b, 1e-8)), MOST_BALANCE), [1]);
}

/** How often each pixel counts, [batch, frames, height, width, 1], 1 in the mean. */
function pixelWeight(change: Tensor, changeWeight: number): Tensor {
  const weight = importance(change, 4, HALF_CHANGED, changeWeight);
  return stopGradient(div(weight, mean(weight, all(weight), true)));
}

function contrast(output: Tensor, clip: Tensor, weight: Tensor): Tensor {
  const full = [luma(output), luma(clip), weight] as const;
  const scales = [full, full.map(halved)].map(([made, real, counts]) => {
    const { shape } = made;
    const inside = slice(slice(counts, 2, 0, shape[2] - 1), 3, 0, shape[3] - 1);
    const missed = sub(strength(made), strength(real));
    return meanOf(mul(boxes(inside), mul(missed, missed)));
  });
  return mul(scales.reduce(add), 1 / scales.length);
}

/** Root of the mean squared gradient of every box. */
function strength(x: Tensor): Tensor {
  const [, , height, width] = x.shape;
  const [rows, columns] = [height - 1, width - 1];
  const part = (y: number, at: number) => slice(slice(x, 2, y, rows), 3, at, columns);
  const down = sub(part(1, 0), part(0, 0));
  const right = sub(part(0, 1), part(0, 0));
  return sqrt(add(boxes(add(mul(down, down), mul(right, right))), FLAT));
}

/** Means of boxes of one channel. */
function boxes(x: Tensor): Tensor {
  const [batch, frames, height, width] = x.shape;
  const side = Math.min(BOX, height, width);
  const kernel = constant(new Float32Array(side * side).fill(1 / side ** 2), [1, side, side, 1, 1]);
  return conv3d(reshape(x, [batch, frames, height, width, 1]), kernel, { stride: BOX_STEP });
}

/** BT.601, [batch, frames, height, width, 1]. */
function luma(clip: Tensor): Tensor {
  return sum(mul(clip, constant(Float32Array.of(0.299, 0.587, 0.114), [3])), [4], true);
}

/** Means of 2x2 pixels of one channel; an odd last row or column is left out. */
function halved(x: Tensor): Tensor {
  const [batch, frames, height, width] = x.shape;
  const [rows, columns] = [Math.floor(height / 2), Math.floor(width / 2)];
  const even = slice(slice(x, 2, 0, 2 * rows), 3, 0, 2 * columns);
  return reshape(mean(reshape(even, [batch, frames, rows, 2, columns, 2]), [3, 5]), [
    batch,
    frames,
    rows,
    columns,
    1,
  ]);
}
