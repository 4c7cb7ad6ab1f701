import { expect, test } from 'vitest';
import { Random } from './random.ts';

const draw = (random: Random, count: number) => Array.from({ length: count }, () => random.next());

test('a seed decides; streams differ from each other', () => {
  expect(draw(new Random(7), 20)).toEqual(draw(new Random(7), 20));
  expect(draw(new Random(7), 5)).not.toEqual(draw(new Random(8), 5));
  expect(draw(Random.fork(7, 'hands'), 5)).toEqual(draw(Random.fork(7, 'hands'), 5));
  expect(draw(Random.fork(7, 'hands'), 5)).not.toEqual(draw(Random.fork(7, 'world'), 5));
});

test('numbers are uniform, whole numbers reach both ends', () => {
  const values = draw(new Random(1), 20_000);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  expect(mean).toBeCloseTo(0.5, 2);
  expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...values)).toBeLessThan(1);
  const random = new Random(2);
  const whole = new Set(Array.from({ length: 500 }, () => random.integer(-1, 2)));
  expect([...whole].sort((a, b) => a - b)).toEqual([-1, 0, 1, 2]);
});
