/**
 * Optimizers of one packed tensor: what they remember, the numbers that change from step to step, and the graph of a
 * step. The gradient comes averaged, unscaled and clipped.
 */
import {
  adamw8bit,
  adamw8bitState,
  mul,
  slice,
  spec,
  sub,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import { type AdamWOptions, adamw, adamwScalars } from './adamw.ts';

export interface Optimizer {
  /** What it remembers beside the weights, by name; zero at the start. */
  readonly state: Readonly<Record<string, TensorSpec>>;
  /** Length of `scalars`. */
  readonly scalarCount: number;
  /** @param step counted from 1. */
  scalars(step: number, learningRate: number): Float32Array;
  /** The next weights and state. */
  update(
    theta: Tensor,
    state: Readonly<Record<string, Tensor>>,
    gradient: Tensor,
    scalars: Tensor,
  ): { readonly theta: Tensor; readonly state: Readonly<Record<string, Tensor>> };
}

type AdamWRates = Omit<AdamWOptions, 'maxGradNorm'>;

/** AdamW with both moments in f32. @param length elements of the packed tensor. */
export function adamwOptimizer(length: number, rates: AdamWRates): Optimizer {
  const options = { ...rates, maxGradNorm: Number.POSITIVE_INFINITY };
  return {
    state: { m: spec([length]), v: spec([length]) },
    scalarCount: 3,
    scalars: (step, learningRate) => adamwScalars(step, learningRate, options),
    update(theta, { m, v }, gradient, scalars) {
      const next = adamw({ theta, m, v }, gradient, scalars, options);
      return { theta: next.theta, state: { m: next.m, v: next.v } };
    },
  };
}

/**
 * AdamW with moments of 8 bits: 2 bytes an element instead of 8, see the kernel for the code. The number of a step seeds the
 * rounding, so a run repeats bit for bit.
 */
export function adamw8bitOptimizer(length: number, rates: AdamWRates): Optimizer {
  const options = { ...rates, maxGradNorm: Number.POSITIVE_INFINITY };
  const { beta1, beta2, eps } = rates;
  return {
    state: adamw8bitState(length),
    scalarCount: 4,
    scalars: (step, learningRate) => Float32Array.of(...adamwScalars(step, learningRate, options), step),
    update(theta, { codes, maxima }, gradient, scalars) {
      const given = { theta, gradient, codes, maxima, scalars };
      const { theta: next, ...state } = adamw8bit(given, { beta1, beta2, eps });
      return { theta: next, state };
    },
  };
}

/** Plain gradient descent with decoupled decay, for tests: theta · (1 - rate · decay) - rate · gradient. */
export function sgdOptimizer(weightDecay: number): Optimizer {
  return {
    state: {},
    scalarCount: 2,
    scalars: (_, learningRate) => Float32Array.of(1 - learningRate * weightDecay, learningRate),
    update(theta, _, gradient, scalars) {
      const [decay, rate] = [0, 1].map((i) => slice(scalars, 0, i, 1));
      return { theta: sub(mul(theta, decay), mul(gradient, rate)), state: {} };
    },
  };
}
