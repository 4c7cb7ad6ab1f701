/** All of a kernel is found from its folder: the README lists what is there and what lies elsewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const FOLDERS = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== '__snapshots__')
  .map(({ name }) => name);
const ROWS = ['maths, operands, launch', 'float64 reference', 'op', 'gradient', 'tests', 'bench workload'];

test.each(FOLDERS)('%s', (folder) => {
  const path = join(import.meta.dirname, folder);
  const text = readFileSync(join(path, 'README.md'), 'utf8');
  const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link);
  expect(links.filter((link) => !existsSync(join(path, link)))).toEqual([]);
  const sources = readdirSync(path).filter((name) => name.endsWith('.ts'));
  expect(sources.filter((name) => !links.includes(name))).toEqual([]);
  for (const row of ROWS) expect(text).toContain(`| ${row} |`);
});
