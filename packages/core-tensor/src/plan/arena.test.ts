import { expect, test } from 'vitest';
import { seeded } from '../testing.ts';
import { placeIntervals } from './arena.ts';

test('no two tensors alive together overlap, and separated ones never share a slab', () => {
  const random = seeded(3);
  for (let round = 0; round < 50; round++) {
    const items = Array.from({ length: 40 }, () => {
      const start = Math.floor(random() * 30);
      return { bytes: 1 + Math.floor(random() * 5000), start, end: start + Math.floor(random() * 6) };
    });
    const apart = new Map<number, Set<number>>();
    for (let n = 0; n < 60; n++) {
      const [a, b] = [Math.floor(random() * 40), Math.floor(random() * 40)];
      if (a === b) continue;
      apart.set(a, (apart.get(a) ?? new Set()).add(b));
      apart.set(b, (apart.get(b) ?? new Set()).add(a));
    }
    const { placements, slabs } = placeIntervals(items, apart, 256, 20_000);
    for (const [i, a] of items.entries()) {
      const p = placements[i];
      expect(p.offset % 256).toBe(0);
      expect(p.offset + a.bytes).toBeLessThanOrEqual(slabs[p.slab]);
      for (const [j, b] of items.entries()) {
        if (i === j || placements[j].slab !== p.slab) continue;
        expect(apart.get(i)?.has(j) ?? false).toBe(false);
        const together = a.start <= b.end && b.start <= a.end;
        const q = placements[j];
        const disjoint = p.offset + a.bytes <= q.offset || q.offset + b.bytes <= p.offset;
        expect(!together || disjoint).toBe(true);
      }
    }
    for (const bytes of slabs) expect(bytes).toBeLessThanOrEqual(20_000);
  }
});

test('a chain needs no more than its two largest neighbours', () => {
  const items = [400, 300, 200, 300].map((bytes, i) => ({ bytes, start: i, end: i + 1 }));
  const apart = new Map([
    [0, new Set([1])],
    [1, new Set([0, 2])],
    [2, new Set([1, 3])],
    [3, new Set([2])],
  ]);
  const { slabs } = placeIntervals(items, apart, 1, 1e9);
  expect(slabs.reduce((a, b) => a + b, 0)).toBe(700);
});
