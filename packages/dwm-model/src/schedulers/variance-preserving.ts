/**
 * What DDIM and CogVideoX's schedulers share: x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise, timesteps that index
 * a table of a_t, and a step that goes back by a fixed stride, whatever the next entry of the list is.
 */
import { type DdimConfig, fieldError, type PredictionType } from './config.ts';
import type { NoiseMix, Schedule, ScheduleOptions, Scheduler, StepRecipe } from './recipe.ts';
import {
  checkNoShift,
  checkStepCount,
  checkTimesteps,
  firstStepForStrength,
  spacedTimesteps,
} from './timesteps.ts';

/**
 * Coefficients of x0 in terms of the sample and the model output, where sample = alpha x0 + sigma noise.
 * Progressive distillation, arXiv:2202.00512, section 4.
 */
export function predictX0(
  type: PredictionType,
  alpha: number,
  sigma: number,
): { sample: number; modelOutput: number } {
  switch (type) {
    case 'epsilon':
      return { sample: 1 / alpha, modelOutput: -sigma / alpha };
    case 'sample':
      return { sample: 0, modelOutput: 1 };
    case 'v_prediction':
      return { sample: alpha, modelOutput: -sigma };
  }
}

/** Forward process at a share `alphaCumprod` of signal variance, which the originals cast to float32 first. */
export function forwardMix(alphaCumprod: number): NoiseMix {
  const alpha = Math.fround(alphaCumprod);
  return { x0: Math.sqrt(alpha), noise: Math.sqrt(1 - alpha) };
}

/** v = sqrt(a) noise - sqrt(1 - a) x0. */
export function velocityMix(alphaCumprod: number): NoiseMix {
  const { x0, noise } = forwardMix(alphaCumprod);
  return { x0: -noise, noise: x0 };
}

/** Share of signal variance before and after a step, and in the step before it (undefined in a run's first). */
export interface StepAlphas {
  readonly timestep: number;
  readonly alpha: number;
  readonly alphaNext: number;
  readonly alphaBack: number | undefined;
  /** The step leaves the table: it ends at `set_alpha_to_one`'s value. */
  readonly isFinal: boolean;
}

export abstract class VariancePreservingScheduler implements Scheduler {
  abstract readonly className: string;
  readonly numTrainTimesteps: number;
  readonly alphasCumprod: Float64Array;
  protected readonly config: DdimConfig;

  constructor(config: DdimConfig, alphasCumprod: Float64Array, file: string) {
    const { prediction_type: type, timestep_spacing: spacing } = config;
    if (config.rescale_betas_zero_snr && type === 'epsilon' && spacing !== 'leading') {
      throw fieldError(
        file,
        'prediction_type',
        'v_prediction | sample, as rescale_betas_zero_snr is true',
        type,
      );
    }
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
    this.alphasCumprod = alphasCumprod;
  }

  protected abstract step(alphas: StepAlphas): StepRecipe;

  addNoise(timestep: number): NoiseMix {
    checkTimesteps([timestep], this.numTrainTimesteps);
    return forwardMix(this.alphasCumprod[timestep]);
  }

  velocity(timestep: number): NoiseMix {
    checkTimesteps([timestep], this.numTrainTimesteps);
    return velocityMix(this.alphasCumprod[timestep]);
  }

  schedule(numInferenceSteps: number, options: ScheduleOptions = {}): Schedule {
    checkStepCount(numInferenceSteps, this.numTrainTimesteps);
    checkNoShift(options.shift, this.className);
    const { timestep_spacing: spacing, steps_offset: offset, set_alpha_to_one: toOne } = this.config;
    const timesteps = spacedTimesteps(spacing, this.numTrainTimesteps, numInferenceSteps, offset).slice(
      firstStepForStrength(numInferenceSteps, options.strength),
    );
    checkTimesteps(timesteps, this.numTrainTimesteps);
    const stride = Math.floor(this.numTrainTimesteps / numInferenceSteps);
    const steps = timesteps.map((timestep, i) => {
      const isFinal = timestep < stride;
      return this.step({
        timestep,
        alpha: this.alphasCumprod[timestep],
        alphaNext: isFinal ? (toOne ? 1 : this.alphasCumprod[0]) : this.alphasCumprod[timestep - stride],
        alphaBack: i > 0 ? this.alphasCumprod[timesteps[i - 1]] : undefined,
        isFinal,
      });
    });
    return { timesteps, initNoiseSigma: 1, startNoise: this.addNoise(timesteps[0]), steps };
  }
}
