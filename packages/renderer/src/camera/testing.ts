/** Where the goldens of cameras, trajectories and MANO are. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

const repository = resolve(import.meta.dirname, '../../../..');

/** A folder of goldens, and whether the shared data is here at all. */
export function golden(name: string): { dir: string; missing: boolean } {
  const dir = resolve(repository, process.env.DWM_SHARED ?? '../shared', 'fixtures', name);
  return { dir, missing: !existsSync(dir) };
}
