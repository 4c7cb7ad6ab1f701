/**
 * AdamW as PyTorch defines it, over one packed tensor: decoupled decay, bias correction, and clipping by the
 * global norm before. Loshchilov & Hutter, "Decoupled Weight Decay Regularization".
 */
import { add, div, minimum, mul, slice, sqrt, sub, sum, type Tensor } from '@dwm/core-tensor';

/** Rates of AdamW. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** Largest norm of the whole gradient; Infinity leaves it alone. */
  readonly maxGradNorm: number;
}

/** Numbers that change from step to step, computed in float64: the `scalars` input of `adamw`. */
export function adamwScalars(step: number, learningRate: number, options: AdamWOptions): Float32Array {
  const { beta1, beta2, weightDecay } = options;
  return Float32Array.of(
    1 - learningRate * weightDecay,
    learningRate / (1 - beta1 ** step),
    1 / Math.sqrt(1 - beta2 ** step),
  );
}

/** Weights and moments of AdamW, packed into one tensor each. */
export interface AdamWState {
  readonly theta: Tensor;
  /** First and second moments. */
  readonly m: Tensor;
  readonly v: Tensor;
}

/** @returns the gradient with a norm of at most `most`, and its norm before. */
export function clipped(gradient: Tensor, most: number): { gradient: Tensor; norm: Tensor } {
  const norm = sqrt(sum(mul(gradient, gradient), [0], true));
  if (!Number.isFinite(most)) return { gradient, norm };
  return { gradient: mul(gradient, minimum(div(most, add(norm, 1e-6)), 1)), norm };
}

/**
 * One step for all parameters.
 * @param gradient packed, already averaged over micro-batches.
 * @param scalars `adamwScalars` of the step, counted from 1.
 * @returns the next state, and the gradient's norm before clipping.
 */
export function adamw(
  { theta, m, v }: AdamWState,
  gradient: Tensor,
  scalars: Tensor,
  options: AdamWOptions,
): AdamWState & { norm: Tensor } {
  const { beta1, beta2, eps, maxGradNorm } = options;
  const scalar = (i: number) => slice(scalars, 0, i, 1);
  const { gradient: g, norm } = clipped(gradient, maxGradNorm);
  const nextM = add(mul(m, beta1), mul(g, 1 - beta1));
  const nextV = add(mul(v, beta2), mul(mul(g, g), 1 - beta2));
  const denominator = add(mul(sqrt(nextV), scalar(2)), eps);
  const nextTheta = sub(mul(theta, scalar(0)), div(mul(nextM, scalar(1)), denominator));
  return { theta: nextTheta, m: nextM, v: nextV, norm };
}
