/** What is said of a run that does not fit. */
import { DwmError, InvalidArgumentError, PlanTooLargeError } from '@dwm/core-tensor';
import type { PlanTarget } from './devices.ts';
import type { StageName } from './run-plan.ts';

/** A run that the budget does not hold, found before any weight was read. */
export class RunTooLargeError extends DwmError {
  constructor(message: string, details: Record<string, unknown>) {
    super('plan-too-large', message, details);
  }
}

/** What does not fit, and the messages of limits that were in the way. */
export interface Misfit {
  readonly stage: StageName;
  /** That a budget has at the least. */
  readonly bytes: number;
  readonly refusals: readonly string[];
}

/** Gigabytes, or megabytes of what is small. */
export const amountOf = (bytes: number) =>
  bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;

/** Without a value where the device's limits, not its memory, are in the way. */
export function within<T>(plan: () => T, refusals: string[]): T | undefined {
  try {
    return plan();
  } catch (error) {
    if (!(error instanceof PlanTooLargeError || error instanceof InvalidArgumentError)) throw error;
    refusals.push(error.message);
    return undefined;
  }
}

/** @param remedies beside more memory, in words. */
export function tooLarge(
  { name, budget }: PlanTarget,
  { stage, bytes, refusals }: Misfit,
  remedies: readonly string[],
): RunTooLargeError {
  const known = Number.isFinite(bytes);
  const limit = refusals.length > 0 && !known ? `: ${refusals.at(-1)}` : '';
  const amount = known ? `${amountOf(bytes)} at least` : 'more than its buffers hold';
  const memory = bytes < 1e9 ? `${Math.ceil(bytes / 1e6)}MB` : `${Math.ceil(bytes / 1e8) / 10}GB`;
  const all = [...(known ? [`\`memory: ${memory}\` where the device has it`] : []), ...remedies];
  return new RunTooLargeError(
    `${name}: ${stage} needs ${amount}, but the budget is ${amountOf(budget)}${limit}; ${all.length > 0 ? `choose ${all.join(', or ')}` : 'choose a smaller model'}`,
    { stage, neededBytes: bytes, budgetBytes: budget },
  );
}
