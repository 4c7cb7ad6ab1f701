/**
 * CogVideoXDPMScheduler: the stochastic second-order DPM-Solver++ (arXiv:2211.01095, "SDE-DPM-Solver++ (2M)").
 * With l the log-SNR (half of it: log(sqrt(a) / sqrt(1 - a))) and h = l' - l,
 *   next = sqrt((1 - a') / (1 - a)) e^-h sample + (1 - e^-2h) sqrt(a') D + sqrt(1 - a') sqrt(1 - e^-2h) noise,
 * where D is x0 extrapolated from this and the previous prediction. Zero terminal SNR makes l infinite at the
 * first and the last step; IEEE arithmetic then gives the right limits: e^-inf = 0 and 1 / inf = 0.
 */
import { cogVideoXAlphasCumprod } from './betas.ts';
import { cogVideoXSchema } from './cogvideox-ddim.ts';
import { parseConfig } from './config.ts';
import { combine, type StepRecipe } from './recipe.ts';
import { predictX0, type StepAlphas, VariancePreservingScheduler } from './variance-preserving.ts';

const halfLogSnr = (alpha: number) => Math.log(Math.sqrt(alpha / (1 - alpha)));

/** diffusers' scheduler of this name. */
export class CogVideoXDPMScheduler extends VariancePreservingScheduler {
  readonly className = 'CogVideoXDPMScheduler';

  constructor(json: unknown, file: string) {
    const config = parseConfig(cogVideoXSchema, json, file);
    super(config, cogVideoXAlphasCumprod(config, config.snr_shift_scale), file);
  }

  protected step({ timestep, alpha, alphaNext, alphaBack, isFinal }: StepAlphas): StepRecipe {
    const lambda = halfLogSnr(alpha);
    const h = halfLogSnr(alphaNext) - lambda;
    const towardsX0 = -Math.expm1(-2 * h) * Math.sqrt(alphaNext);
    const noise = Math.sqrt(1 - alphaNext) * Math.sqrt(-Math.expm1(-2 * h));

    const secondOrder = alphaBack !== undefined && !isFinal;
    const extrapolation = secondOrder ? h / (2 * (lambda - halfLogSnr(alphaBack))) : 0;
    return {
      timestep,
      inputScale: 1,
      // The original draws for its first-order formula before it turns to the second-order one.
      noiseDraws: secondOrder ? 2 : 1,
      needsNoise: noise !== 0,
      combinations: [
        combine('x0', predictX0(this.config.prediction_type, Math.sqrt(alpha), Math.sqrt(1 - alpha))),
        combine('next', {
          sample: Math.sqrt((1 - alphaNext) / (1 - alpha)) * Math.exp(-h),
          x0: towardsX0 * (1 + extrapolation),
          x0Prev1: -towardsX0 * extrapolation,
          noise,
        }),
        combine('x0Prev1', { x0: 1 }),
      ],
    };
  }
}
