import { expect, test } from 'vitest';
import { Pace } from './pace.ts';

test('the first step counts only while it is the only one, and then the last twenty do', () => {
  const pace = new Pace(1000);
  pace.stepEnded(61_000);
  expect(pace.stepsPerSecond).toBeCloseTo(1 / 60);
  for (let step = 1; step <= 3; step++) pace.stepEnded(61_000 + 2000 * step);
  expect(pace.stepsPerSecond).toBeCloseTo(0.5);
  for (let step = 1; step <= 20; step++) pace.stepEnded(67_000 + 500 * step);
  expect(pace.stepsPerSecond).toBeCloseTo(2);
});
