import { expect, test } from 'vitest';
import { Random } from '../random.ts';
import { palette } from './look.ts';

test('what is inside furniture stands out from it, and follows from it', () => {
  for (let seed = 0; seed < 300; seed++) {
    const { furniture, inside } = palette(Random.fork(seed, 'world'));
    const [outer, inner] = [furniture, inside].map(([r, g, b]) => 0.3 * r + 0.6 * g + 0.1 * b);
    expect(Math.max(outer, inner) / Math.min(outer, inner), `seed ${seed}`).toBeGreaterThan(2);
    if (inner < outer) for (let c = 0; c < 3; c++) expect(inside[c]).toBeCloseTo(0.35 * furniture[c], 6);
  }
  const pale = Array.from({ length: 300 }, (_, seed) => palette(Random.fork(seed, 'world')))
    .filter(({ furniture, inside }) => inside[1] > furniture[1])
    .map(({ inside }) => inside);
  expect(pale.length).toBeGreaterThan(50);
  expect(pale.length).toBeLessThan(250);
  expect(new Set(pale.map(String)).size).toBe(1);
});
