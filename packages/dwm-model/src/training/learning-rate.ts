/** Learning-rate schedules as factors of the base rate, as diffusers' `get_scheduler` defines them. */
import { InvalidArgumentError } from '@dwm/core-tensor';

export const LR_SCHEDULES = [
  'constant',
  'constant_with_warmup',
  'linear',
  'cosine',
  'cosine_with_restarts',
  'polynomial',
] as const;
export type LrSchedule = (typeof LR_SCHEDULES)[number];

interface LrScheduleOptions {
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** Of `cosine_with_restarts`: descents (default 1). `cosine` has one, as diffusers passes it no cycles. */
  readonly cycles?: number;
  /** The base rate, which `polynomial` descends from. */
  readonly learningRate?: number;
}

/** Rate that `polynomial` ends at; its power is 1. */
const POLYNOMIAL_END = 1e-7;

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
    return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
  }
  if (schedule === 'cosine_with_restarts') {
    if (progress >= 1) return 0;
    return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (((options.cycles ?? 1) * progress) % 1))));
  }
  if (schedule === 'polynomial') {
    const end = POLYNOMIAL_END / (options.learningRate ?? 1);
    return progress > 1 ? end : (1 - end) * (1 - progress) + end;
  }
  throw new InvalidArgumentError(
    'lr_scheduler',
    `expected one of ${LR_SCHEDULES.join(', ')}, got ${schedule}`,
  );
}
