/**
 * diffusers' UniPCMultistepScheduler: with flow sigmas (as Wan is released) or over betas.
 */
import * as z from 'zod';
import { varianceExplodingTable } from './betas.ts';
import {
  betaFields,
  fieldError,
  finalSigmas,
  noSigmaConversion,
  parseConfig,
  predictionType,
  shift,
  shiftTerminal,
  spacing,
  uniPcFields,
} from './config.ts';
import { FLOW_VELOCITY, flowMix, flowSigmaOfTimestep, shiftSigma, stretchToTerminal } from './flow.ts';
import type { NoiseMix, Schedule, ScheduleOptions, Scheduler } from './recipe.ts';
import {
  checkNoShift,
  checkStepCount,
  checkTimesteps,
  firstStepForStrength,
  linspace,
  roundHalfEven,
  spacedTimesteps,
} from './timesteps.ts';
import { checkFinalOrder, type NoiseLevel, uniPcSteps } from './unipc-solver.ts';
import { forwardMix, predictX0, velocityMix } from './variance-preserving.ts';

const schema = z.object({
  ...betaFields,
  ...uniPcFields,
  ...noSigmaConversion,
  prediction_type: z.enum([...predictionType.options, 'flow_prediction']),
  timestep_spacing: spacing.default('linspace'),
  use_flow_sigmas: z.boolean().default(false),
  flow_shift: shift.default(1),
  shift_terminal: shiftTerminal,
  final_sigmas_type: finalSigmas,
});

/** diffusers' scheduler of this name. */
export class UniPCMultistepScheduler implements Scheduler {
  readonly className = 'UniPCMultistepScheduler';
  readonly numTrainTimesteps: number;
  readonly alphasCumprod?: Float64Array;
  private readonly config: z.infer<typeof schema>;
  private readonly sigmaTable: readonly number[];

  constructor(json: unknown, file: string) {
    this.config = parseConfig(schema, json, file);
    const { config } = this;
    checkFinalOrder(config, config.final_sigmas_type === 'sigma_min' && !config.use_flow_sigmas, file);
    if (config.shift_terminal && !config.use_flow_sigmas) {
      throw fieldError(file, 'shift_terminal', 'null, as use_flow_sigmas is false', config.shift_terminal);
    }
    this.numTrainTimesteps = config.num_train_timesteps;
    const { alphas, sigmas } = varianceExplodingTable(config);
    this.sigmaTable = sigmas;
    if (!config.use_flow_sigmas) this.alphasCumprod = alphas;
  }

  addNoise(timestep: number): NoiseMix {
    if (!this.alphasCumprod) return flowMix(flowSigmaOfTimestep(timestep, this.numTrainTimesteps));
    checkTimesteps([timestep], this.numTrainTimesteps);
    return forwardMix(this.alphasCumprod[timestep]);
  }

  velocity(timestep: number): NoiseMix {
    if (!this.alphasCumprod) return FLOW_VELOCITY;
    checkTimesteps([timestep], this.numTrainTimesteps);
    return velocityMix(this.alphasCumprod[timestep]);
  }

  schedule(numInferenceSteps: number, options: ScheduleOptions = {}): Schedule {
    checkStepCount(numInferenceSteps, this.numTrainTimesteps);
    const { config } = this;
    if (!config.use_flow_sigmas) checkNoShift(options.shift, this.className);
    const { timesteps, sigmas } = config.use_flow_sigmas
      ? this.flowLevels(numInferenceSteps, options.shift ?? config.flow_shift)
      : this.betaLevels(numInferenceSteps);
    const levels = sigmas.map((sigma): NoiseLevel => {
      if (config.use_flow_sigmas) return { alpha: 1 - sigma, sigma };
      const alpha = 1 / Math.hypot(1, sigma);
      return { alpha, sigma: sigma * alpha };
    });
    const first = firstStepForStrength(numInferenceSteps, options.strength);
    const x0 = (i: number) =>
      config.prediction_type === 'flow_prediction'
        ? { sample: 1, modelOutput: -sigmas[i] }
        : predictX0(config.prediction_type, levels[i].alpha, levels[i].sigma);
    return {
      timesteps: timesteps.slice(first),
      sigmas: sigmas.slice(first),
      initNoiseSigma: 1,
      startNoise: { x0: levels[first].alpha, noise: levels[first].sigma },
      steps: uniPcSteps(config, timesteps, levels, x0, first),
    };
  }

  private flowLevels(count: number, shift: number) {
    const { num_train_timesteps: n, shift_terminal: terminal, final_sigmas_type: final } = this.config;
    let sigmas = linspace(1, 1 / n, count + 1)
      .slice(0, -1)
      .map((sigma) => shiftSigma(sigma, shift));
    if (terminal) sigmas = stretchToTerminal(sigmas, terminal);
    // At sigma 1 there is no signal, and lambda would be infinite.
    if (Math.abs(sigmas[0] - 1) < 1e-6) sigmas[0] -= 1e-6;
    const timesteps = sigmas.map((sigma) => Math.trunc(sigma * n));
    sigmas.push(final === 'zero' ? 0 : sigmas[count - 1]);
    return { timesteps, sigmas: sigmas.map(Math.fround) };
  }

  private betaLevels(count: number) {
    const { num_train_timesteps: n, timestep_spacing: spacing, steps_offset: offset } = this.config;
    // All but trailing leave out the last entry of a list of one more.
    const timesteps =
      spacing === 'trailing'
        ? spacedTimesteps(spacing, n, count, offset)
        : spacing === 'linspace'
          ? linspace(0, n - 1, count + 1)
              .map(roundHalfEven)
              .reverse()
              .slice(0, -1)
          : spacedTimesteps(spacing, n, count + 1, offset).slice(0, -1);
    checkTimesteps(timesteps, n);
    const final = this.config.final_sigmas_type === 'zero' ? 0 : this.sigmaTable[0];
    return { timesteps, sigmas: [...timesteps.map((t) => this.sigmaTable[t]), final] };
  }
}
