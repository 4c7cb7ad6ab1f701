/**
 * TeaCache (arXiv:2411.19108): what the timestep is to the blocks tells how much their answer changes. While that has
 * changed little, the blocks are left out. It depends on no latents, so a run's steps are chosen before its first.
 */
import {
  abs,
  constant,
  type Device,
  div,
  evaluate,
  InvalidArgumentError,
  mean,
  slice,
  sub,
} from '@dwm/core-tensor';
import type { DenoisingNetwork } from '../families/family.ts';
import type { Weights } from '../weights/weights.ts';
import type { TeaCache } from './options.ts';

const SKIP_START_STEPS = 5;

/** Every option of a run, checked. */
interface SettledTeaCache {
  readonly relL1Thresh: number;
  readonly numSkipStartSteps: number;
  readonly coefficients: readonly number[];
  /** Whether the last step is calculated in any case. */
  readonly calculatesLast: boolean;
}

/** TeaCache as a run of `steps` steps has it. @throws InvalidArgumentError naming the option that is out of range. */
export function settleTeaCache(
  { relL1Thresh, numSkipStartSteps: start, coefficients: own }: TeaCache,
  { teaCache }: Pick<DenoisingNetwork, 'teaCache'>,
  steps: number,
): SettledTeaCache {
  const numSkipStartSteps = start ?? Math.min(SKIP_START_STEPS, steps);
  if (!Number.isFinite(relL1Thresh) || relL1Thresh < 0)
    throw new InvalidArgumentError('teaCache.relL1Thresh', `expected a number from 0 up, got ${relL1Thresh}`);
  if (!Number.isInteger(numSkipStartSteps) || numSkipStartSteps < 1 || numSkipStartSteps > steps) {
    throw new InvalidArgumentError(
      'teaCache.numSkipStartSteps',
      `expected a whole number from 1 to the ${steps} steps of the run, got ${numSkipStartSteps}`,
    );
  }
  if (!teaCache) throw new InvalidArgumentError('teaCache.relL1Thresh', 'this model knows no TeaCache');
  const coefficients = own ?? teaCache.coefficients;
  if (!coefficients) {
    throw new InvalidArgumentError(
      'teaCache.coefficients',
      'are known for the published models only; give those of this one, or take `firstBlockCache.threshold`, which needs none',
    );
  }
  if (coefficients.length === 0 || !coefficients.every(Number.isFinite)) {
    throw new InvalidArgumentError(
      'teaCache.coefficients',
      `expected numbers, highest power first, got [${coefficients}]`,
    );
  }
  return { relL1Thresh, numSkipStartSteps, coefficients, calculatesLast: teaCache.calculatesLast };
}

/** Which steps are calculated. @param changes from each step to the next. */
export function calculatedSteps(
  changes: ArrayLike<number>,
  { relL1Thresh, numSkipStartSteps, coefficients, calculatesLast }: SettledTeaCache,
): boolean[] {
  const last = changes.length;
  let sum = 0;
  return Array.from({ length: last + 1 }, (_, step) => {
    if (step >= numSkipStartSteps && !(calculatesLast && step === last)) {
      sum += coefficients.reduce((value, coefficient) => value * changes[step - 1] + coefficient, 0);
      if (sum < relL1Thresh) return false;
    }
    sum = 0;
    return true;
  });
}

/** How much the timestep's embedding changes from each step to the next, relative to the former: [steps - 1]. */
export async function timeChanges(
  device: Device,
  network: DenoisingNetwork,
  weights: Weights,
  timesteps: readonly number[],
): Promise<Float32Array> {
  if (timesteps.length < 2 || !network.teaCache) return new Float32Array(0);
  const rows = timesteps.map((timestep) => network.tell(timestep));
  const told = Object.fromEntries(
    Object.entries(network.told).map(([name, one]) => {
      const values = rows.flatMap((row) => [...row[name]]);
      return [name, constant(Float32Array.from(values), [rows.length, ...one.shape.slice(1)])];
    }),
  );
  const embedded = network.teaCache.embed(weights, told);
  const before = slice(embedded, 0, 0, rows.length - 1);
  const after = slice(embedded, 0, 1, rows.length - 1);
  const changes = div(mean(abs(sub(after, before)), [1]), mean(abs(before), [1]));
  const made = await evaluate(device, { changes });
  const values = (await made.changes.read()) as Float32Array;
  made.changes.destroy();
  return values;
}
