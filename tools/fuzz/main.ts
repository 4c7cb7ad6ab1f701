/**
 * Damaged files for every reader: `npm run fuzz -- --minutes 5 [--seed N] [--only READER] [--count N]`. First come the
 * files of `corpus/`, which once broke something, then mutants of small files that are made here. Each must be read or
 * be refused in one line; what crashes, hangs, throws anything else or shows control characters is kept in `found/`.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { integer, real } from '../../apps/cli/src/commands/options.ts';
import type { Told } from './messages.ts';
import { mutateBytes, mutateJson, randomSource } from './mutate.ts';
import { Reader } from './reader.ts';
import { TARGETS } from './targets.ts';

const CORPUS = join(import.meta.dirname, 'corpus');
const FOUND = join(import.meta.dirname, 'found');

const { minutes, seed, only, count } = new Command('npm run fuzz --')
  .description('Damaged files for every reader: each must be read or be refused in one line.')
  .option('--minutes <n>', 'how long', real(0), 1)
  .option('--count <n>', 'mutants, in place of minutes', integer(0))
  .option('--seed <n>', 'of the mutants', integer(0), 1)
  .addOption(new Option('--only <reader>', 'one reader').choices(Object.keys(TARGETS)))
  .parse()
  .opts<{ minutes: number; seed: number; only?: string; count?: number }>();
const names = only ? [only] : Object.keys(TARGETS);

const reader = new Reader();
const counts = new Map<Told['ends'], number>();
const failing = new Set<string>();

async function tryOne(target: string, label: string, bytes: Uint8Array, keep: boolean): Promise<void> {
  const { ends, detail } = await reader.read(target, bytes);
  counts.set(ends, (counts.get(ends) ?? 0) + 1);
  if (ends === 'read' || ends === 'refused') return;
  failing.add(target);
  const name = `${ends}-${createHash('sha256').update(bytes).digest('hex').slice(0, 10)}`;
  const path = join(FOUND, target, name);
  if (keep) {
    await mkdir(join(FOUND, target), { recursive: true });
    await writeFile(path, bytes);
  }
  console.log(
    `FAIL ${target} ${label}: ${ends}${keep ? `, kept as ${path}` : ''}\n  ${detail.split('\n').slice(0, 6).join('\n  ')}`,
  );
}

for (const target of names) {
  const files = await readdir(join(CORPUS, target)).catch(() => []);
  for (const file of files.sort())
    await tryOne(target, `corpus/${file}`, await readFile(join(CORPUS, target, file)), false);
}

const samples = new Map<string, readonly Uint8Array[]>();
for (const target of names) {
  const made = await TARGETS[target].samples();
  samples.set(target, made);
  // A sample that is refused would test the first check alone.
  for (const [i, bytes] of made.entries()) {
    const { ends, detail } = await reader.read(target, bytes);
    if (ends === 'read') continue;
    failing.add(target);
    console.log(`FAIL ${target}: sample ${i} is no valid file (${ends}: ${detail})`);
  }
}

const deadline = performance.now() + minutes * 60_000;
const goesOn = () => (count === undefined ? performance.now() < deadline : tried < count);
let tried = 0;
for (; goesOn(); tried++) {
  const target = names[tried % names.length];
  const index = Math.floor(tried / names.length);
  const of = samples.get(target)!;
  const below = randomSource(seed, names.indexOf(target), index);
  const sample = of[index % of.length];
  const { json } = TARGETS[target];
  const bytes =
    json && below(2)
      ? new TextEncoder().encode(mutateJson(new TextDecoder().decode(sample), below))
      : mutateBytes(sample, below);
  await tryOne(target, `seed ${seed} mutant ${index}`, bytes, true);
}
reader.close();
const told = [...counts].map(([ends, count]) => `${count} ${ends}`).join(', ');
console.log(`${tried} mutants of ${names.length} readers: ${told}`);
// Of readers.
console.log(`${names.length - failing.size} passed, ${failing.size} failed`);
process.exit(failing.size === 0 ? 0 : 1);
