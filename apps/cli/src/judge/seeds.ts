/**
 * One result a seed, until there are enough: rooms that cannot be used are passed over, and what is known is kept in a
 * folder, so that a run that was stopped goes on where it was.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readJsonFile, writeFileAtomic } from '@dwm/core-tensor/node';
import type { Unusable } from '@dwm/synth';
import { exists } from '../generate/files.ts';
import { clock, type Reporter } from '../report.ts';

interface Judged<R> {
  readonly seed: number;
  readonly result: R;
  /** Seconds that it took. */
  readonly seconds: number;
}

interface SeedsOptions {
  /** Holds one file a seed; another question or another model needs another folder. */
  readonly folder: string;
  readonly count: number;
  /** The first. */
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
}

/** @param describe a result in a few words, for the progress line. */
export async function judgeSeeds<R extends object>(
  { folder, count, seed: first, signal, reporter }: SeedsOptions,
  judge: (seed: number) => Promise<R | Unusable>,
  describe: (all: readonly R[]) => string,
): Promise<{ judged: Judged<R>[]; rejected: number }> {
  await mkdir(folder, { recursive: true });
  const judged: Judged<R>[] = [];
  let rejected = 0;
  let spent = 0;
  let fresh = 0;
  for (let seed = first; judged.length < count; seed++) {
    signal.throwIfAborted();
    const file = join(folder, `${seed}.json`);
    let entry: { result: R | Unusable; seconds: number };
    if (await exists(file)) entry = (await readJsonFile(file, 'verdict')) as unknown as typeof entry;
    else {
      const from = performance.now();
      const result = await judge(seed);
      entry = { result, seconds: (performance.now() - from) / 1000 };
      await writeFileAtomic(file, `${JSON.stringify(entry)}\n`);
      spent += entry.seconds;
      if (!('rejected' in result)) fresh++;
    }
    if ('rejected' in entry.result) {
      rejected++;
      continue;
    }
    judged.push({ seed, result: entry.result, seconds: entry.seconds });
    const left = fresh > 0 ? `, ${clock((spent / fresh) * (count - judged.length))} left` : '';
    const so = describe(judged.map(({ result }) => result));
    reporter.progress(`${judged.length} of ${count}: ${so}${left}`, true);
  }
  return { judged, rejected };
}
