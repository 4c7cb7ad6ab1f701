/** Learning-rate schedules as factors of the base rate, as diffusers' `get_scheduler` defines them. */
import { InvalidArgumentError } from '@dwm/core-tensor';

export const LR_SCHEDULES = [
  'constant',
  'constant_with_warmup',
  'linear',
  'cosine',
  'cosine_with_restarts',
] as const;
export type LrSchedule = (typeof LR_SCHEDULES)[number];

export interface LrScheduleOptions {
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** Of `cosine`: half waves are 2 x cycles (default 0.5, one descent); of restarts: descents (default 1). */
  readonly cycles?: number;
}

/** @param step optimizer steps done before this one, from 0. */
export function lrFactor(schedule: LrSchedule, step: number, options: LrScheduleOptions): number {
  const { warmupSteps, totalSteps } = options;
  if (schedule === 'constant') return 1;
  if (step < warmupSteps) return step / Math.max(1, warmupSteps);
  if (schedule === 'constant_with_warmup') return 1;
  const span = Math.max(1, totalSteps - warmupSteps);
  if (schedule === 'linear') return Math.max(0, (totalSteps - step) / span);
  const progress = (step - warmupSteps) / span;
  if (schedule === 'cosine') {
    return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (options.cycles ?? 0.5) * 2 * progress)));
  }
  if (schedule === 'cosine_with_restarts') {
    if (progress >= 1) return 0;
    return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (((options.cycles ?? 1) * progress) % 1))));
  }
  throw new InvalidArgumentError(
    'lr_scheduler',
    `expected one of ${LR_SCHEDULES.join(', ')}, got ${schedule}`,
  );
}
