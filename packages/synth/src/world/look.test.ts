import { expect, test } from 'vitest';
import { Random } from '../random.ts';
import { palette, shade } from './look.ts';
import type { Color } from './mesh.ts';

const luminance = ([r, g, b]: Color) => 0.3 * r + 0.6 * g + 0.1 * b;

test('what is inside furniture stands out from it, and follows from it', () => {
  const pale: Color[] = [];
  for (let seed = 0; seed < 300; seed++) {
    const { furniture, inside } = palette(Random.fork(seed, 'world'));
    const [outer, inner] = [luminance(furniture), luminance(inside)];
    expect(Math.max(outer, inner) / Math.min(outer, inner), `seed ${seed}`).toBeGreaterThan(2);
    if (inner > outer) pale.push(inside);
    else expect(inside).toEqual(shade(furniture, 0.35));
  }
  expect(pale.length).toBeGreaterThan(50);
  expect(pale.length).toBeLessThan(250);
  expect(new Set(pale.map(String)).size).toBe(1);
});
