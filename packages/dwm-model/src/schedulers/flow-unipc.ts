/**
 * FlowUniPCMultistepScheduler, Wan's own UniPC (`fm_solvers_unipc.py`): UniPC over flow sigmas whose end points
 * come from a training table, sigma_max = 1 - 1/N down to 0. The shift is usually given with the run.
 */
import * as z from 'zod';
import { parseConfig, shift, uniPcFields } from './config.ts';
import { FlowScheduler, flowMix, shiftSigma } from './flow.ts';
import type { Schedule, ScheduleOptions, Scheduler } from './recipe.ts';
import { checkStepCount, firstStepForStrength, linspace } from './timesteps.ts';
import { checkFinalOrder, uniPcSteps } from './unipc-solver.ts';

const schema = z.object({
  ...uniPcFields,
  shift,
  prediction_type: z.literal('flow_prediction').default('flow_prediction'),
  // The original's other choice reads a table that it does not have.
  final_sigmas_type: z.literal('zero').default('zero'),
});

/** UniPC on flow matching, as Wan's own sampler: `sigma`s shifted, steps up to order 2. */
export class FlowUniPCMultistepScheduler extends FlowScheduler<z.infer<typeof schema>> implements Scheduler {
  readonly className = 'FlowUniPCMultistepScheduler';

  constructor(json: unknown, file: string) {
    super(parseConfig(schema, json, file));
    checkFinalOrder(this.config, false, file);
  }

  schedule(numInferenceSteps: number, options: ScheduleOptions = {}): Schedule {
    const { config, numTrainTimesteps: n } = this;
    checkStepCount(numInferenceSteps, n);
    const sigmaMax = Math.fround(shiftSigma(Math.fround(1 - 1 / n), config.shift));
    const shifted = linspace(sigmaMax, 0, numInferenceSteps + 1)
      .slice(0, -1)
      .map((sigma) => shiftSigma(sigma, options.shift ?? config.shift));
    const timesteps = shifted.map((sigma) => Math.trunc(sigma * n));
    const sigmas = [...shifted.map(Math.fround), 0];
    const levels = sigmas.map((sigma) => ({ alpha: 1 - sigma, sigma }));

    const first = firstStepForStrength(numInferenceSteps, options.strength);
    const x0 = (i: number) => ({ sample: 1, modelOutput: -sigmas[i] });
    return {
      timesteps: timesteps.slice(first),
      sigmas: sigmas.slice(first),
      initNoiseSigma: 1,
      startNoise: flowMix(sigmas[first]),
      steps: uniPcSteps(config, timesteps, levels, x0, first),
    };
  }
}
