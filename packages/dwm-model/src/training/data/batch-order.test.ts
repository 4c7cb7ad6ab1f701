import { expect, test } from 'vitest';
import { BatchOrder } from './batch-order.ts';

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const [pulls, others] = [names('pull ', 7), names('other ', 5)];
const matched = new Map(pulls.slice(0, 5).map((name, i) => [name, [`miss ${i}`, `graze ${i}`]]));
const order = (batchSize: number, promptSwap = 0) =>
  new BatchOrder({
    ...{ seed: 3, batchSize, matched, promptSwap },
    datasets: [
      { clips: pulls, weight: 2 },
      { clips: others, weight: 1 },
    ],
  });
const turns = (of: BatchOrder<string>, count = 900) => Array.from({ length: count }, (_, i) => of.at(i));

test.each([2, 4, 5])(
  'matches come second in a pair of a batch of %i, under the caption of the first',
  (size) => {
    const all = turns(order(size), 900 - (900 % size));
    const seen = new Set<string>();
    for (const [i, { clip, caption, promptAt }] of all.entries()) {
      const first = (i % size) % 2 === 1 ? all[i - 1].clip : undefined;
      const partners = first === undefined ? undefined : matched.get(first);
      if (!partners) {
        expect([caption, promptAt]).toEqual([clip, i]);
        expect(/miss|graze/.test(clip)).toBe(false);
      } else {
        expect(partners).toContain(clip);
        expect([caption, promptAt]).toEqual([first, i - 1]);
        seen.add(clip);
      }
    }
    expect(seen.size).toBe(10);
  },
);

test('a batch of one has no pairs', () => {
  for (const { clip } of turns(order(1), 500)) expect(clip).not.toMatch(/miss|graze/);
});

test('captions are swapped in the share that is asked for, pairs keep one, any clip gives its own', () => {
  const all = turns(order(2, 0.4));
  const own = all.filter(({ clip, caption }, i) => i % 2 === 0 && clip === caption);
  // Of the swapped, one in twelve comes back.
  expect(own.length / 450).toBeCloseTo(0.6 + 0.4 / 12, 1);
  for (let i = 1; i < all.length; i += 2)
    if (matched.has(all[i - 1].clip)) expect(all[i].caption).toBe(all[i - 1].caption);
  expect(new Set(all.map(({ caption }) => caption)).size).toBe(12);
});

test('a run resumed anywhere sees what it would have seen', () => {
  const all = turns(order(2, 0.4), 200);
  for (const from of [1, 2, 37, 198]) expect(order(2, 0.4).at(from)).toEqual(all[from]);
});
