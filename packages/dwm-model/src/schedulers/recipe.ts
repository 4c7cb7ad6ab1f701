/**
 * A denoising step as data. Every scheduler here is linear in its tensors, so a step is a short list of
 * linear combinations whose coefficients are computed once, in float64, on the host: the GPU evaluates them
 * with one generic program, and `applyRecipe` does the same on the CPU.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';

/**
 * The tensors a step reads and writes, all of the latents' shape.
 * - `sample`: the latents entering the step; `next`: the latents leaving it.
 * - `modelOutput`: the network's (guided) output for `sample * inputScale`.
 * - `noise`: standard normals.
 * - `x0`: the prediction of the clean latents, also good for previews.
 * - `x0Prev1..3`, `lastSample`: what multistep solvers carry from one step to the next.
 */
export type Slot =
  | 'sample'
  | 'modelOutput'
  | 'noise'
  | 'x0'
  | 'next'
  | 'x0Prev1'
  | 'x0Prev2'
  | 'x0Prev3'
  | 'lastSample';

/** `target = sum of coefficient * slot`, elementwise; `target` may be one of its own terms. */
export interface LinearCombination {
  readonly target: Slot;
  readonly terms: readonly { readonly slot: Slot; readonly coefficient: number }[];
}

/** One denoising step as coefficients in float64. */
export interface StepRecipe {
  /** What the network is told, as the original lists it. */
  readonly timestep: number;
  /** The network sees `sample * inputScale`. */
  readonly inputScale: number;
  /** Normal tensors the original draws in this step; all but the last are thrown away. */
  readonly noiseDraws: number;
  /** Whether the last draw enters the step as `noise`. */
  readonly needsNoise: boolean;
  /** Evaluated in order. After the last, `next` is the new `sample`. */
  readonly combinations: readonly LinearCombination[];
}

/** `x0 * x0Tensor + noise * noiseTensor`. */
export interface NoiseMix {
  readonly x0: number;
  readonly noise: number;
}

/** One sampling run: what a scheduler says about `numInferenceSteps` steps. */
export interface Schedule {
  /** One entry a step, descending. */
  readonly timesteps: readonly number[];
  /** Noise levels, one more than steps; only where the original has such a table. */
  readonly sigmas?: readonly number[];
  /** Standard deviation that the initial normals are scaled to. */
  readonly initNoiseSigma: number;
  /** Turns clean latents into the `sample` of the first step: the start of a run with strength < 1. */
  readonly startNoise: NoiseMix;
  readonly steps: readonly StepRecipe[];
}

/** What changes the schedule of one run. */
export interface ScheduleOptions {
  /** In (0, 1]: keeps the last int(numInferenceSteps * strength) steps. The step size stays that of the full run. */
  readonly strength?: number;
  /** Flow shift of this run in place of the file's; an error outside flow matching. */
  readonly shift?: number;
}

/** Makes the schedule of a run. */
export interface Scheduler {
  /** diffusers' class name, as in `_class_name`. */
  readonly className: string;
  readonly numTrainTimesteps: number;
  /** Share of signal variance for each training timestep; absent in flow matching. */
  readonly alphasCumprod?: Float64Array;
  /** Flow matching's tables for training: shifted noise levels, descending, and what the network is told. */
  readonly trainSigmas?: Float32Array;
  readonly trainTimesteps?: Float32Array;
  /** Forward process: noisy latents at a training timestep. Throws `InvalidArgumentError` outside the range. */
  addNoise(timestep: number): NoiseMix;
  /** The regression target of v-prediction or of flow matching. Applied to (noisy, output) it turns v into x0. */
  velocity(timestep: number): NoiseMix;
  /** Throws `InvalidArgumentError` for a step count or an option outside its range. */
  schedule(numInferenceSteps: number, options?: ScheduleOptions): Schedule;
}

/** Builds one combination, leaving out zero terms so that slots not yet written are not read. */
export function combine(target: Slot, coefficients: Partial<Record<Slot, number>>): LinearCombination {
  const terms = (Object.entries(coefficients) as [Slot, number][])
    .filter(([, coefficient]) => coefficient !== 0)
    .map(([slot, coefficient]) => ({ slot, coefficient }));
  for (const { slot, coefficient } of terms) {
    if (!Number.isFinite(coefficient)) {
      throw new InvalidArgumentError(
        'scheduler',
        `the coefficient of ${slot} in ${target} is ${coefficient}, expected a finite number; this configuration divides by zero`,
      );
    }
  }
  return { target, terms };
}

/** A step that draws no noise. */
export function deterministicStep(
  timestep: number,
  combinations: readonly LinearCombination[],
  inputScale = 1,
): StepRecipe {
  return { timestep, inputScale, noiseDraws: 0, needsNoise: false, combinations };
}

/**
 * Evaluates a step on the CPU: float32 storage, float64 accumulation. Writes its targets into `slots`,
 * allocating those that are missing.
 */
export function applyRecipe(recipe: StepRecipe, slots: Partial<Record<Slot, Float32Array>>): void {
  for (const { target, terms } of recipe.combinations) {
    const sources = terms.map(({ slot }) => {
      const source = slots[slot];
      if (source === undefined) throw new InvalidArgumentError(slot, `missing, needed to compute ${target}`);
      return source;
    });
    const length = (slots.sample ?? sources[0]).length;
    const result = slots[target] ?? new Float32Array(length);
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (let k = 0; k < terms.length; k++) sum += terms[k].coefficient * sources[k][i];
      result[i] = sum;
    }
    slots[target] = result;
  }
}
