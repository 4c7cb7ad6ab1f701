/**
 * FlowMatchEulerDiscreteScheduler, with which Wan trains: x = (1 - sigma) x0 + sigma noise, and the network's
 * velocity is integrated by Euler in sigma. The run's end points come from the shifted training table and are
 * then shifted again, as the original has it.
 */
import * as z from 'zod';
import {
  noDynamicShifting,
  noSigmaConversion,
  numTrainTimesteps,
  parseConfig,
  shift,
  shiftTerminal,
} from './config.ts';
import { FlowScheduler, flowMix, shiftSigma, stretchToTerminal } from './flow.ts';
import { combine, type Schedule, type ScheduleOptions, type Scheduler } from './recipe.ts';
import { checkStepCount, firstStepForStrength, linspace } from './timesteps.ts';

const schema = z.object({
  num_train_timesteps: numTrainTimesteps,
  shift,
  shift_terminal: shiftTerminal,
  invert_sigmas: z.boolean().default(false),
  stochastic_sampling: z.boolean().default(false),
  ...noDynamicShifting,
  ...noSigmaConversion,
});

/** diffusers' scheduler of this name. */
export class FlowMatchEulerDiscreteScheduler
  extends FlowScheduler<z.infer<typeof schema>>
  implements Scheduler
{
  readonly className = 'FlowMatchEulerDiscreteScheduler';
  readonly trainSigmas: Float32Array;
  readonly trainTimesteps: Float32Array;

  constructor(json: unknown, file: string) {
    super(parseConfig(schema, json, file));
    const n = this.numTrainTimesteps;
    const round = Math.fround;
    this.trainSigmas = Float32Array.from({ length: n }, (_, i) => {
      const sigma = round((n - i) / n);
      return round(this.config.shift * sigma) / round(1 + round((this.config.shift - 1) * sigma));
    });
    this.trainTimesteps = this.trainSigmas.map((sigma) => sigma * n);
  }

  schedule(numInferenceSteps: number, options: ScheduleOptions = {}): Schedule {
    const { config, numTrainTimesteps: n } = this;
    checkStepCount(numInferenceSteps, n);
    let sigmas = linspace(this.trainSigmas[0] * n, this.trainSigmas[n - 1] * n, numInferenceSteps).map((t) =>
      shiftSigma(t / n, options.shift ?? config.shift),
    );
    if (config.shift_terminal) sigmas = stretchToTerminal(sigmas, config.shift_terminal);
    sigmas = sigmas.map(Math.fround);
    if (config.invert_sigmas) sigmas = sigmas.map((sigma) => Math.fround(1 - sigma));
    const clean = config.invert_sigmas ? 1 : 0;
    const timesteps = sigmas.map((sigma) => Math.fround(sigma * n));
    sigmas.push(clean);

    const first = firstStepForStrength(numInferenceSteps, options.strength);
    const steps = timesteps.map((timestep, i) => {
      const [sigma, sigmaNext] = [sigmas[i], sigmas[i + 1]];
      const x0 = combine('x0', { sample: 1, modelOutput: clean - sigma });
      const stochastic = config.stochastic_sampling;
      const next: Parameters<typeof combine>[1] = stochastic
        ? { x0: 1 - sigmaNext, noise: sigmaNext }
        : { sample: 1, modelOutput: sigmaNext - sigma };
      return {
        timestep,
        inputScale: 1,
        noiseDraws: stochastic ? 1 : 0,
        needsNoise: stochastic && sigmaNext !== 0,
        combinations: [x0, combine('next', next)],
      };
    });
    return {
      timesteps: timesteps.slice(first),
      sigmas: sigmas.slice(first),
      initNoiseSigma: 1,
      startNoise: flowMix(sigmas[first]),
      steps: steps.slice(first),
    };
  }
}
