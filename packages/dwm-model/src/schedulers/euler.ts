/**
 * diffusers' EulerDiscreteScheduler without churn: the variance-exploding form, x = x0 + sigma noise, integrated
 * by Euler in sigma (arXiv:2206.00364, algorithm 1). The network was trained on unit variance, so it sees
 * x / sqrt(sigma^2 + 1).
 */
import * as z from 'zod';
import { varianceExplodingTable } from './betas.ts';
import { betaFields, finalSigmas, noSigmaConversion, parseConfig, spacing } from './config.ts';
import {
  combine,
  deterministicStep,
  type NoiseMix,
  type Schedule,
  type ScheduleOptions,
  type Scheduler,
} from './recipe.ts';
import {
  checkNoShift,
  checkStepCount,
  checkTimesteps,
  firstStepForStrength,
  linspace,
  spacedTimesteps,
} from './timesteps.ts';
import { velocityMix } from './variance-preserving.ts';

const schema = z.object({
  ...betaFields,
  ...noSigmaConversion,
  prediction_type: z.enum(['epsilon', 'v_prediction']),
  interpolation_type: z.enum(['linear', 'log_linear']).default('linear'),
  timestep_spacing: spacing.default('linspace'),
  timestep_type: z.enum(['discrete', 'continuous']).default('discrete'),
  final_sigmas_type: finalSigmas,
});

/** diffusers' scheduler of this name. */
export class EulerDiscreteScheduler implements Scheduler {
  readonly className = 'EulerDiscreteScheduler';
  readonly numTrainTimesteps: number;
  readonly alphasCumprod: Float64Array;
  private readonly config: z.infer<typeof schema>;
  private readonly sigmaTable: number[];

  constructor(json: unknown, file: string) {
    this.config = parseConfig(schema, json, file);
    this.numTrainTimesteps = this.config.num_train_timesteps;
    const { alphas, sigmas } = varianceExplodingTable(this.config);
    this.alphasCumprod = alphas;
    this.sigmaTable = sigmas;
  }

  addNoise(timestep: number): NoiseMix {
    checkTimesteps([timestep], this.numTrainTimesteps);
    return { x0: 1, noise: this.sigmaTable[timestep] };
  }

  velocity(timestep: number): NoiseMix {
    checkTimesteps([timestep], this.numTrainTimesteps);
    return velocityMix(this.alphasCumprod[timestep]);
  }

  schedule(numInferenceSteps: number, options: ScheduleOptions = {}): Schedule {
    checkStepCount(numInferenceSteps, this.numTrainTimesteps);
    checkNoShift(options.shift, this.className);
    const { config, sigmaTable } = this;
    const visited = this.spacedTimesteps(numInferenceSteps);
    const sigmas =
      config.interpolation_type === 'linear'
        ? visited.map((t) => Math.fround(interpolate(sigmaTable, t)))
        : linspace(
            Math.log(sigmaTable[sigmaTable.length - 1]),
            Math.log(sigmaTable[0]),
            visited.length + 1,
          ).map((logSigma) => Math.fround(Math.exp(logSigma)));
    sigmas.push(config.final_sigmas_type === 'zero' ? 0 : sigmaTable[0]);

    const continuous = config.timestep_type === 'continuous' && config.prediction_type === 'v_prediction';
    const timesteps = visited.map((t, i) => Math.fround(continuous ? 0.25 * Math.log(sigmas[i]) : t));
    const first = firstStepForStrength(numInferenceSteps, options.strength);
    const steps = timesteps.map((timestep, i) => {
      const [sigma, ratio] = [sigmas[i], sigmas[i + 1] / sigmas[i]];
      const norm = Math.hypot(1, sigma);
      const x0 =
        config.prediction_type === 'epsilon'
          ? { sample: 1, modelOutput: -sigma }
          : { sample: 1 / (sigma * sigma + 1), modelOutput: -sigma / norm };
      const combinations = [combine('x0', x0), combine('next', { sample: ratio, x0: 1 - ratio })];
      return deterministicStep(timestep, combinations, 1 / norm);
    });
    const largest = Math.max(...sigmas);
    return {
      timesteps: timesteps.slice(first),
      sigmas: sigmas.slice(first),
      initNoiseSigma: config.timestep_spacing === 'leading' ? Math.fround(Math.hypot(1, largest)) : largest,
      startNoise: { x0: 1, noise: sigmas[first] },
      steps: steps.slice(first),
    };
  }

  /** As in DDIM, but `linspace` keeps its fractions. */
  private spacedTimesteps(count: number): number[] {
    const { timestep_spacing: spacing, steps_offset: offset } = this.config;
    if (spacing === 'linspace') {
      return linspace(0, this.numTrainTimesteps - 1, count)
        .map(Math.fround)
        .reverse();
    }
    const timesteps = spacedTimesteps(spacing, this.numTrainTimesteps, count, offset);
    checkTimesteps(timesteps, this.numTrainTimesteps);
    return timesteps;
  }
}

function interpolate(table: readonly number[], position: number): number {
  const low = Math.min(Math.floor(position), table.length - 2);
  return table[low] + (table[low + 1] - table[low]) * (position - low);
}
