/**
 * CogVideoXDDIMScheduler, the sampler of the released models: a DDIM step over CogVideoX's own float64 table.
 * The original reads `clip_sample` and ignores it.
 */
import * as z from 'zod';
import { cogVideoXAlphasCumprod } from './betas.ts';
import { ddimFields, parseConfig } from './config.ts';
import { ddimStep } from './ddim.ts';
import type { StepRecipe } from './recipe.ts';
import { type StepAlphas, VariancePreservingScheduler } from './variance-preserving.ts';

export const cogVideoXSchema = z.object({ ...ddimFields, snr_shift_scale: z.number().positive().default(3) });

/** diffusers' scheduler of this name. */
export class CogVideoXDDIMScheduler extends VariancePreservingScheduler {
  readonly className = 'CogVideoXDDIMScheduler';

  constructor(json: unknown, file: string) {
    const config = parseConfig(cogVideoXSchema, json, file);
    super(config, cogVideoXAlphasCumprod(config, config.snr_shift_scale), file);
  }

  protected step(alphas: StepAlphas): StepRecipe {
    return ddimStep(this.config, alphas);
  }
}
