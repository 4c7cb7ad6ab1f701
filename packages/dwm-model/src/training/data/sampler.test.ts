import { expect, test } from 'vitest';
import { epochOrder, MixedSampler } from './sampler.ts';

test('each epoch is a permutation of its own', () => {
  const a = epochOrder(1, 0, 0, 50);
  const b = epochOrder(1, 0, 1, 50);
  expect([...a].sort((x, y) => x - y)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  expect([...a]).not.toEqual([...b]);
  expect([...epochOrder(1, 0, 0, 50)]).toEqual([...a]);
});

test('datasets mix by weight, and each gives all its clips before one again', () => {
  const sampler = new MixedSampler(7, [
    { count: 30, weight: 3 },
    { count: 10, weight: 1 },
  ]);
  const seen = [new Map<number, number>(), new Map<number, number>()];
  for (let i = 0; i < 4000; i++) {
    const { dataset, clip } = sampler.at(i);
    seen[dataset].set(clip, (seen[dataset].get(clip) ?? 0) + 1);
  }
  const totals = seen.map((counts) => [...counts.values()].reduce((a, b) => a + b, 0));
  expect(totals[0] / 4000).toBeCloseTo(0.75, 1);
  for (const counts of seen) {
    const times = [...counts.values()];
    expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(1);
  }
});

test('a run resumed anywhere sees what it would have seen', () => {
  const datasets = [
    { count: 5, weight: 1 },
    { count: 3, weight: 2 },
  ];
  const whole = new MixedSampler(9, datasets);
  const all = Array.from({ length: 100 }, (_, i) => whole.at(i));
  for (const from of [0, 1, 37, 99]) expect(new MixedSampler(9, datasets).at(from)).toEqual(all[from]);
});

test('lists without weights are joined and shuffled: shares follow sizes, each clip once an epoch', () => {
  const sampler = new MixedSampler(3, [{ count: 30 }, { count: 1 }, { count: 9 }]);
  for (let epoch = 0; epoch < 3; epoch++) {
    const seen = Array.from({ length: 40 }, (_, i) => sampler.at(40 * epoch + i));
    const names = seen.map(({ dataset, clip }) => `${dataset}.${clip}`);
    expect(new Set(names).size).toBe(40);
    expect([0, 1, 2].map((list) => seen.filter(({ dataset }) => dataset === list).length)).toEqual([
      30, 1, 9,
    ]);
    // Not one list after the other.
    expect(new Set(seen.slice(0, 20).map(({ dataset }) => dataset)).size).toBeGreaterThan(1);
  }
  // One list alone comes in the order that it has with a weight.
  const [alone, weighted] = [{ count: 7 }, { count: 7, weight: 2 }].map(
    (list) => new MixedSampler(5, [list]),
  );
  for (let i = 0; i < 20; i++) expect(alone.at(i)).toEqual(weighted.at(i));
  expect(() => new MixedSampler(1, [{ count: 3 }, { count: 4, weight: 1 }])).toThrow(
    'data.dataset_file: give every list a weight, or none',
  );
});
