/**
 * Which training timesteps a run visits. The lists must equal numpy's entry by entry, so ranges are built with
 * numpy's own arithmetic and halves round to even.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';

type TimestepSpacing = 'leading' | 'linspace' | 'trailing';

/** Rounds to the nearest integer, halves to the even one, as Python and numpy do. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const fraction = x - floor;
  if (fraction !== 0.5) return fraction < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** `count` evenly spaced numbers from `start` to `stop`, both included; a count of one gives `start`. */
export function linspace(start: number, stop: number, count: number): number[] {
  if (count === 1) return [start];
  const step = (stop - start) / (count - 1);
  const values = Array.from({ length: count }, (_, i) => i * step + start);
  values[count - 1] = stop;
  return values;
}

/**
 * Table 2 of "Common Diffusion Noise Schedules and Sample Steps are Flawed" (arXiv:2305.08891), descending.
 * For some counts (61 is the first) float error makes numpy's trailing range one entry longer, with -1 at its
 * end; that entry is left out, because the original then reads the noisiest level for its last step.
 */
export function spacedTimesteps(
  spacing: TimestepSpacing,
  numTrainTimesteps: number,
  count: number,
  stepsOffset: number,
): number[] {
  switch (spacing) {
    case 'linspace':
      return linspace(0, numTrainTimesteps - 1, count)
        .map(roundHalfEven)
        .reverse();
    case 'leading': {
      const ratio = Math.floor(numTrainTimesteps / count);
      return Array.from({ length: count }, (_, i) => (count - 1 - i) * ratio + stepsOffset);
    }
    case 'trailing': {
      // numpy.arange(N, 0, -ratio) multiplies the rounded first difference, which decides where ties fall.
      const delta = numTrainTimesteps - numTrainTimesteps / count - numTrainTimesteps;
      return Array.from({ length: count }, (_, i) => roundHalfEven(numTrainTimesteps + i * delta) - 1);
    }
  }
}

/** Index of the first step that a run of this strength takes: it keeps the last int(count * strength). */
export function firstStepForStrength(count: number, strength = 1): number {
  if (!(strength > 0 && strength <= 1)) {
    throw new InvalidArgumentError('strength', `expected a number in (0, 1], got ${strength}`);
  }
  const kept = Math.trunc(count * strength);
  if (kept < 1) {
    throw new InvalidArgumentError(
      'strength',
      `${strength} of ${count} steps leaves none; expected at least ${1 / count}, or more steps`,
    );
  }
  return count - kept;
}

/** Throws unless `count` is a usable number of steps. */
export function checkStepCount(count: number, numTrainTimesteps: number): void {
  if (!Number.isInteger(count) || count < 1 || count > numTrainTimesteps) {
    throw new InvalidArgumentError(
      'numInferenceSteps',
      `expected an integer from 1 to ${numTrainTimesteps}, got ${count}`,
    );
  }
}

/** Throws for a flow shift where there is nothing to shift. */
export function checkNoShift(shift: number | undefined, className: string): void {
  if (shift !== undefined) {
    throw new InvalidArgumentError('shift', `${className} has no flow sigmas to shift; leave it out`);
  }
}

/** Throws unless every timestep is an index into a training table of `numTrainTimesteps` entries. */
export function checkTimesteps(timesteps: readonly number[], numTrainTimesteps: number): void {
  const bad = timesteps.find((t) => !(Number.isInteger(t) && t >= 0 && t < numTrainTimesteps));
  if (bad !== undefined) {
    throw new InvalidArgumentError(
      'timestep',
      `expected an integer from 0 to ${numTrainTimesteps - 1}, got ${bad}; with a steps_offset, use fewer steps`,
    );
  }
}
