import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readState } from './search-state.ts';

const file = join(mkdtempSync(join(tmpdir(), 'dwm-plan-')), 'search.json');
const read = (content: unknown) => {
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return readState(file, 'k');
};
const scored = [{ point: [0, 1, 0.5, 0, 0, 0, 0, 0.25], cost: 2 }];

test('a search goes on where it was, from nothing where there is none', async () => {
  expect(await readState(`${file}.none`, 'k')).toEqual({ round: 0, scored: [] });
  expect(await read({ key: 'k', state: { round: 1, scored } })).toEqual({ round: 1, scored });
});

test.each<[string, unknown, string]>([
  ["another search's", { key: 'other', state: { round: 1, scored } }, "is another search's"],
  ['cut', '{"key":"k"', 'JSON'],
  ['no state', { key: 'k' }, 'is damaged'],
  ['rounds of nothing', { key: 'k', state: { round: 9, scored: [] } }, 'is damaged'],
  ['what is no path', { key: 'k', state: { round: 1, scored: [1] } }, 'is damaged'],
  ['a short path', { key: 'k', state: { round: 1, scored: [{ point: [0], cost: 1 }] } }, 'is damaged'],
  ['a path outside', { key: 'k', state: { round: 1, scored: [{ ...scored[0], cost: null }] } }, 'is damaged'],
])('refused: %s', async (_, content, message) => {
  await expect(read(content)).rejects.toThrow(message);
});
