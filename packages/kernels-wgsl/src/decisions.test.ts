import { expect, test } from 'vitest';
import type { DeviceCaps } from './caps.ts';
import { choicesOf, decisionCount, verdictsOf } from './decisions.ts';

test('every decision counts, also one that takes the place of another', () => {
  const [caps, other] = [{} as DeviceCaps, {} as DeviceCaps];
  const counts = [decisionCount(caps)];
  const count = () => counts.push(decisionCount(caps));
  choicesOf(caps).set('matmul m=8', { variant: 'lanes' });
  count();
  choicesOf(caps).set('matmul m=8', { variant: 'staged' });
  count();
  verdictsOf(caps).set('matmul matrix', null);
  count();
  choicesOf(caps).clear();
  count();
  expect(counts).toEqual([...new Set(counts)].sort((a, b) => a - b));
  expect(decisionCount(other)).toBe(0);
});
