/** What the tests of cameras, trajectories and MANO share: seeded noise, an error measure, where the goldens are. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

const repository = resolve(import.meta.dirname, '../../../..');

/** A folder of goldens, and whether the shared data is here at all. */
export function golden(name: string): { dir: string; missing: boolean } {
  const dir = resolve(repository, process.env.DWM_SHARED ?? '../shared', 'fixtures', name);
  return { dir, missing: !existsSync(dir) };
}

/** Uniform numbers in [0, 1) that are the same in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** |actual - expected| / |expected|; infinite where lengths differ or a number is not one. */
export function relativeL2(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  const error = Math.sqrt(difference / (norm || 1));
  return actual.length === expected.length && Number.isFinite(error) ? error : Number.POSITIVE_INFINITY;
}
