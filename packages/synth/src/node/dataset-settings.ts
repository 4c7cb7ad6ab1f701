/** What the clips of one folder have in common, and what each has of its own. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { readJsonFile, writeFileAtomic } from '@dwm/core-tensor/node';
import { Random } from '../random.ts';
import type { ClipSettings } from '../types.ts';
import { GENERATOR_VERSION } from '../version.ts';
import type { DatasetOptions } from './dataset-options.ts';
import { readParts } from './read-parts.ts';

/** What a seed is asked for: its action and camera are the same whatever is made beside it. */
export function clipSettings(
  seed: number,
  {
    width,
    height,
    frames,
    fps,
    actions,
    rooms,
    acts,
    fixedCamera,
  }: Omit<DatasetOptions, 'root' | 'split' | 'seed' | 'count'>,
): ClipSettings {
  const random = Random.fork(seed, 'dataset');
  const [action, fixed] = [actions && random.pick(actions), random.next()];
  return {
    width,
    height,
    frames,
    fps,
    ...(action && { action }),
    ...(rooms && { room: Random.fork(seed, 'room').pick(rooms) }),
    ...(acts !== undefined && { acts }),
    ...(fixedCamera !== undefined && { fixedCamera: fixed < fixedCamera }),
  };
}

/**
 * Clips of one folder are alike; its first run says in what.
 * @returns the version of the generator that made the folder.
 */
export async function checkSettings(root: string, options: DatasetOptions): Promise<number> {
  const { split, width, height, frames, fps, actions, rooms, acts = 1, fixedCamera } = options;
  const path = join(root, 'synth.json');
  const parts = options.parts === undefined ? undefined : await readParts(options.parts, options.warn);
  const now = {
    split,
    width,
    height,
    frames,
    fps,
    actions: actions ?? 'all',
    rooms: rooms ?? 'own',
    acts,
    fixedCamera: fixedCamera ?? 'default',
    parts: parts ? Object.fromEntries(parts.map(({ name, sha256 }) => [name, sha256])) : 'none',
  };
  // Folders of version 1 do not say so.
  const before: Record<string, unknown> | undefined = existsSync(path)
    ? {
        version: 1,
        parts: 'none',
        rooms: 'own',
        acts: 1,
        ...(await readJsonFile(path, 'description of the clips')),
      }
    : undefined;
  if (!before) {
    await writeFileAtomic(path, `${JSON.stringify({ version: GENERATOR_VERSION, ...now }, null, 2)}\n`);
    return GENERATOR_VERSION;
  }
  for (const [field, value] of Object.entries(now)) {
    if (JSON.stringify(before[field]) === JSON.stringify(value)) continue;
    throw new InvalidArgumentError(
      field,
      `${root} was made with ${JSON.stringify(before[field])}, expected the same, got ${JSON.stringify(value)}; choose another folder`,
    );
  }
  return Number(before.version);
}
