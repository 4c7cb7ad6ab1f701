/**
 * diffusers' DDIMScheduler with eta 0: predict x0, then move along the straight line between x0 and the noise
 * that the sample implies (arXiv:2010.02502, equation 12).
 */
import * as z from 'zod';
import { alphasCumprod } from './betas.ts';
import { type DdimConfig, ddimFields, noThresholding, parseConfig } from './config.ts';
import { combine, deterministicStep, type StepRecipe } from './recipe.ts';
import { predictX0, type StepAlphas, VariancePreservingScheduler } from './variance-preserving.ts';

// Clipping is for pixels and is not linear; diffusers turns it on unless told otherwise, hence no default here.
const schema = z.object({ ...ddimFields, ...noThresholding, clip_sample: z.literal(false) });

/** diffusers' scheduler of this name. */
export class DDIMScheduler extends VariancePreservingScheduler {
  readonly className = 'DDIMScheduler';

  constructor(json: unknown, file: string) {
    const config = parseConfig(schema, json, file);
    super(config, alphasCumprod(config), file);
  }

  protected step(alphas: StepAlphas): StepRecipe {
    return ddimStep(this.config, alphas);
  }
}

/** next = sqrt(a') x0 + sqrt(1 - a') noise with noise = (sample - sqrt(a) x0) / sqrt(1 - a). */
export function ddimStep(config: DdimConfig, { timestep, alpha, alphaNext }: StepAlphas): StepRecipe {
  const kept = Math.sqrt((1 - alphaNext) / (1 - alpha));
  return deterministicStep(timestep, [
    combine('x0', predictX0(config.prediction_type, Math.sqrt(alpha), Math.sqrt(1 - alpha))),
    combine('next', { sample: kept, x0: Math.sqrt(alphaNext) - Math.sqrt(alpha) * kept }),
  ]);
}
