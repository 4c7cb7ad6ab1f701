import { expect, test } from 'vitest';
import { Random } from './random.ts';

const draw = (random: Random, count: number) => Array.from({ length: count }, () => random.next());

test('a seed decides; streams differ from each other', () => {
  expect(draw(new Random(7), 20)).toEqual(draw(new Random(7), 20));
  expect(draw(new Random(7), 5)).not.toEqual(draw(new Random(8), 5));
  expect(draw(Random.fork(7, 'hands'), 5)).toEqual(draw(Random.fork(7, 'hands'), 5));
  expect(draw(Random.fork(7, 'hands'), 5)).not.toEqual(draw(Random.fork(7, 'world'), 5));
});

test('no two seeds have a stream in common', () => {
  const first = (seed: number) => Random.fork(seed, 'world').next();
  for (const from of [0, 100_000, 1_000_000]) {
    const seeds = Array.from({ length: 3000 }, (_, i) => from + i);
    expect(new Set(seeds.map((seed) => draw(Random.fork(seed, 'world'), 3).join())).size).toBe(seeds.length);
    const mean = seeds.reduce((sum, seed) => sum + first(seed), 0) / seeds.length;
    expect(mean).toBeCloseTo(0.5, 1);
  }
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
