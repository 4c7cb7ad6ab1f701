import { expect, test } from 'vitest';
import { lrFactor } from './learning-rate.ts';

test('warm-up is linear from zero, then each schedule descends as diffusers has it', () => {
  const options = { warmupSteps: 2, totalSteps: 8, cycles: 2 };
  // The rates of the golden training run: base 1e-3, two restarts.
  const rates = [0, 1, 2, 3, 4].map((step) => lrFactor('cosine_with_restarts', step, options));
  for (const [i, want] of [0, 0.5, 1, 0.75, 0.25].entries()) expect(rates[i]).toBeCloseTo(want, 12);
  expect(lrFactor('cosine_with_restarts', 8, options)).toBe(0);
  expect(lrFactor('cosine', 5, { ...options, cycles: 1 })).toBeCloseTo(0.5, 12);
  expect(lrFactor('linear', 5, { warmupSteps: 2, totalSteps: 8 })).toBeCloseTo(0.5, 12);
  // From 1e-3 to 1e-7 in a straight line.
  const polynomial = { warmupSteps: 2, totalSteps: 8, learningRate: 1e-3 };
  expect(lrFactor('polynomial', 5, polynomial)).toBeCloseTo((1e-3 + 1e-7) / 2 / 1e-3, 12);
  expect(lrFactor('polynomial', 9, polynomial)).toBeCloseTo(1e-4, 12);
  expect(lrFactor('constant', 0, { warmupSteps: 2, totalSteps: 8 })).toBe(1);
  expect(lrFactor('constant_with_warmup', 1, { warmupSteps: 2, totalSteps: 8 })).toBe(0.5);
});
