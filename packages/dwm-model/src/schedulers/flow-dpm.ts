/**
 * FlowDPMSolverMultistepScheduler, Wan's own DPM-Solver++ (`fm_solvers.py`): the data-prediction form of
 * arXiv:2211.01095 over flow sigmas that run from 1 down to 0. The shift is usually given with the run, and the file's
 * is applied on top of it, as in the original.
 */
import * as z from 'zod';
import {
  finalSigmas,
  noDynamicShifting,
  noThresholding,
  numTrainTimesteps,
  parseConfig,
  shift,
} from './config.ts';
import { FlowScheduler, flowMix, shiftSigma } from './flow.ts';
import {
  combine,
  type LinearCombination,
  type Schedule,
  type ScheduleOptions,
  type Scheduler,
  type Slot,
} from './recipe.ts';
import { checkStepCount, firstStepForStrength, linspace } from './timesteps.ts';

const schema = z.object({
  num_train_timesteps: numTrainTimesteps,
  solver_order: z.int().min(1).max(3).default(2),
  prediction_type: z.literal('flow_prediction').default('flow_prediction'),
  shift: shift.default(1),
  algorithm_type: z.enum(['dpmsolver++', 'sde-dpmsolver++']).default('dpmsolver++'),
  solver_type: z.enum(['midpoint', 'heun']).default('midpoint'),
  lower_order_final: z.boolean().default(true),
  euler_at_final: z.boolean().default(false),
  final_sigmas_type: finalSigmas,
  invert_sigmas: z.literal(false).default(false),
  ...noDynamicShifting,
  ...noThresholding,
});
type Config = z.infer<typeof schema>;

/** Runs shorter than this end with lower orders. */
const SHORT_RUN = 15;
const PREVIOUS = ['x0Prev1', 'x0Prev2'] as const;

export class FlowDPMSolverMultistepScheduler extends FlowScheduler<Config> implements Scheduler {
  readonly className = 'FlowDPMSolverMultistepScheduler';

  constructor(json: unknown, file: string) {
    super(parseConfig(schema, json, file));
  }

  schedule(numInferenceSteps: number, options: ScheduleOptions = {}): Schedule {
    const { config, numTrainTimesteps: n } = this;
    checkStepCount(numInferenceSteps, n);
    const shifted = linspace(1, 0, numInferenceSteps + 1)
      .slice(0, -1)
      .map((sigma) => shiftSigma(shiftSigma(sigma, options.shift ?? 1), config.shift));
    const timesteps = shifted.map((sigma) => Math.trunc(sigma * n));
    const last = config.final_sigmas_type === 'zero' ? 0 : shifted[numInferenceSteps - 1];
    const sigmas = [...shifted, last].map(Math.fround);

    const first = firstStepForStrength(numInferenceSteps, options.strength);
    const stochastic = config.algorithm_type === 'sde-dpmsolver++';
    const steps = timesteps.slice(first).map((timestep, taken) => {
      const i = first + taken;
      const order = orderOf(config, i, timesteps.length, taken);
      const history = PREVIOUS.slice(0, config.solver_order - 1);
      const combinations: LinearCombination[] = [
        combine('x0', { sample: 1, modelOutput: -sigmas[i] }),
        combine('next', update(config, sigmas, i, order)),
        // Shifted oldest first, and no further back than a prediction exists.
        ...history
          .map((slot, k) => combine(slot, { [k === 0 ? 'x0' : history[k - 1]]: 1 }))
          .slice(0, taken + 1)
          .reverse(),
      ];
      const needsNoise = stochastic && sigmas[i + 1] !== 0;
      return { timestep, inputScale: 1, noiseDraws: stochastic ? 1 : 0, needsNoise, combinations };
    });
    return {
      timesteps: timesteps.slice(first),
      sigmas: sigmas.slice(first),
      initNoiseSigma: 1,
      startNoise: flowMix(sigmas[first]),
      steps,
    };
  }
}

function orderOf(config: Config, i: number, count: number, taken: number): number {
  const { solver_order: order, lower_order_final, euler_at_final, final_sigmas_type } = config;
  const easesOut = lower_order_final && count < SHORT_RUN;
  if (i === count - 1 && (euler_at_final || easesOut || final_sigmas_type === 'zero')) return 1;
  return Math.min(order, taken + 1, i === count - 2 && easesOut ? 2 : 3);
}

/** Coefficients of the sample after step `i`. With sigma 1 at the start, h of its neighbours is infinite. */
function update(
  { algorithm_type, solver_type }: Config,
  sigmas: readonly number[],
  i: number,
  order: number,
): Partial<Record<Slot, number>> {
  const lambda = (k: number) => Math.log(1 - sigmas[k]) - Math.log(sigmas[k]);
  const alpha = 1 - sigmas[i + 1];
  const ratio = sigmas[i + 1] / sigmas[i];
  const h = lambda(i + 1) - lambda(i);
  const stochastic = algorithm_type === 'sde-dpmsolver++';
  /** e^-h - 1, or the same for twice the step where noise takes half of it. */
  const reach = stochastic ? 2 * h : h;
  const decay = Math.expm1(-reach);
  const result: Partial<Record<Slot, number>> = {
    sample: stochastic ? ratio * Math.exp(-h) : ratio,
    ...(stochastic && { noise: sigmas[i + 1] * Math.sqrt(-decay) }),
  };
  let [m0, m1, m2] = [-alpha * decay, 0, 0];
  if (order > 1) {
    const r0 = (lambda(i) - lambda(i - 1)) / h;
    const slope = alpha * (decay / reach + 1);
    if (order === 2) {
      // Of D1 = (m0 - m1) / r0.
      const weight = (solver_type === 'midpoint' ? -0.5 * alpha * decay : slope) / r0;
      m0 += weight;
      m1 -= weight;
    } else {
      const r1 = (lambda(i - 1) - lambda(i - 2)) / h;
      const mix = Number.isFinite(r1) ? r0 / (r0 + r1) : 0;
      const bend = -alpha * ((decay + h) / h ** 2 - 0.5);
      // D1 = (1 + mix) D10 - mix D11 and D2 = (D10 - D11) / (r0 + r1), of D10 = (m0 - m1) / r0, D11 = (m1 - m2) / r1.
      const d10 = (slope * (1 + mix) + bend / (r0 + r1)) / r0;
      const d11 = (-slope * mix - bend / (r0 + r1)) / r1;
      m0 += d10;
      m1 += d11 - d10;
      m2 -= d11;
    }
  }
  return { ...result, x0: m0, x0Prev1: m1, x0Prev2: m2 };
}
