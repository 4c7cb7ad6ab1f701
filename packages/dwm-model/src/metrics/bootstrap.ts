/** The 95% interval of a mean by the percentile bootstrap (Efron 1979), from a seed: the same values give the same. */
import { randomReference } from '@dwm/core-tensor';

/** A mean with the ends of its interval. */
export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** Values that it is the mean of. */
  readonly count: number;
}

const RESAMPLES = 2000;
const SEED = 8;

/** @returns undefined for no values. One value says nothing of its spread: the interval is the value. */
export function bootstrapMean(values: readonly number[], seed = SEED): Interval | undefined {
  const count = values.length;
  if (count === 0) return undefined;
  const mean = values.reduce((a, b) => a + b, 0) / count;
  const draws = randomReference({ count: RESAMPLES * count, distribution: 'uniform', stream: 0 }, [seed, 0]);
  const means = new Float64Array(RESAMPLES);
  for (let r = 0; r < RESAMPLES; r++) {
    let sum = 0;
    for (let i = 0; i < count; i++)
      sum += values[Math.min(count - 1, Math.floor(draws[r * count + i] * count))];
    means[r] = sum / count;
  }
  means.sort();
  const at = (share: number) => means[Math.round(share * (RESAMPLES - 1))];
  return { mean, low: at(0.025), high: at(0.975), count };
}
