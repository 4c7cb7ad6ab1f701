import { expect, test } from 'vitest';
import { Decisions } from './decisions.ts';

test('every decision counts, also one that takes the place of another', () => {
  const decisions = new Decisions();
  const counts = [decisions.changes];
  const count = () => counts.push(decisions.changes);
  decisions.choices.set('matmul m=8', { variant: 'lanes' });
  count();
  decisions.choices.set('matmul m=8', { variant: 'staged' });
  count();
  decisions.verdicts.set('matmul matrix', null);
  count();
  decisions.choices.clear();
  count();
  expect(counts).toEqual([...new Set(counts)].sort((a, b) => a - b));
});

test('a copy goes its own way', () => {
  const decisions = new Decisions();
  decisions.choices.set('matmul m=8', { variant: 'lanes' });
  const copy = new Decisions(decisions);
  copy.choices.set('matmul m=8', { variant: 'staged' });
  expect(decisions.choices.get('matmul m=8')).toEqual({ variant: 'lanes' });
  expect(copy.choices.get('matmul m=8')).toEqual({ variant: 'staged' });
});
