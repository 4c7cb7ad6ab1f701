/** What became of the seeds of a folder. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Action } from '../types.ts';
import { clipPaths } from './clip-files.ts';
import { type ClipResult, readRejection, readStateLog } from './make-clip.ts';

/** What earlier runs left below `root`, by seed. */
export async function knownResults(root: string): Promise<Map<number, ClipResult>> {
  const known = new Map<number, ClipResult>();
  const names = async (folder: string) =>
    (await readdir(folder).catch(() => [])).filter((name) => /^\d+\.json$/.test(name));
  const samples = (await readdir(root).catch(() => [])).filter((name) => /^(train|test)-\d+$/.test(name));
  for (const folder of ['rejected', ...samples.map((sample) => join(sample, 'states'))]) {
    for (const name of await names(join(root, folder))) {
      const seed = Number.parseInt(name, 10);
      known.set(seed, await resultOf(root, seed));
    }
  }
  return known;
}

/** What became of a seed that is done. */
export async function resultOf(root: string, seed: number): Promise<ClipResult> {
  if (!existsSync(clipPaths(root, seed).state)) return readRejection(root, seed);
  const { action } = await readStateLog(root, seed);
  return { seed, action: action as Action };
}

/** Whether `count` clips from a seed on are there. */
export function isWhole(known: ReadonlyMap<number, ClipResult>, first: number, count: number): boolean {
  let good = 0;
  for (let seed = first; good < count; seed++) {
    const result = known.get(seed);
    if (!result) return false;
    if (!result.rejected) good++;
  }
  return true;
}
