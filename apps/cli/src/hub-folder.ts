/** Where a model that is called by its hub id lies on this machine. */
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isObject } from '@dwm/core-tensor/files';
import { readRegularText, writeFileAtomic } from '@dwm/core-tensor/node';

/** What `dwm download` leaves in a folder: which model it is. */
const RECORD = '.dwm-model.json';

export async function recordModel(folder: string, model: { id: string; commit: string }): Promise<void> {
  await writeFileAtomic(join(folder, RECORD), `${JSON.stringify(model)}\n`);
}

async function isRecorded(folder: string, id: string): Promise<boolean> {
  try {
    const found: unknown = JSON.parse(await readRegularText(join(folder, RECORD)));
    return isObject(found) && found.id === id;
  } catch {
    return false;
  }
}

const isFolder = async (path: string) => (await stat(path).catch(() => undefined))?.isDirectory() ?? false;

/** Whether a diffusers model, or a LoRA, can be in the folder. */
async function holdsModel(path: string): Promise<boolean> {
  const names = await readdir(path).catch(() => [] as string[]);
  return names.some(
    (name) => name === 'transformer' || name.endsWith('.safetensors') || name === 'model_index.json',
  );
}

/**
 * A path that exists is itself, `~` the home folder. An id `owner/name` is the folder, here or in `models/`, that `dwm
 * download` put it in, or that is called `name` or `owner/name`; or the cache of the hub's own tools.
 * @returns the path as given where none of them is there.
 */
export async function modelFolder(given: string): Promise<string> {
  const path = given.startsWith('~/') ? join(homedir(), given.slice(2)) : given;
  if ((await isFolder(path)) || !/^[\w.-]+\/[\w.-]+$/.test(path)) return path;
  for (const parent of ['models', '.']) {
    for (const name of (await readdir(parent).catch(() => [])).sort())
      if (await isRecorded(join(parent, name), path)) return join(parent, name);
  }
  const [owner, name] = path.split('/');
  const cache =
    process.env.HF_HOME ?? join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
  const cached = join(cache, 'hub', `models--${owner}--${name}`);
  const places = [name, join('models', name), join('models', owner, name), cached];
  const snapshots = join(cached, 'snapshots');
  for (const snapshot of (await readdir(snapshots).catch(() => [])).sort())
    places.push(join(snapshots, snapshot));
  for (const place of places) if ((await isFolder(place)) && (await holdsModel(place))) return place;
  return path;
}
