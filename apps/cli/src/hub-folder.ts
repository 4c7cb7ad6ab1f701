/** Where a model that an experiment file calls by its hub id lies on this machine. */
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

const isFolder = async (path: string) => (await stat(path).catch(() => undefined))?.isDirectory() ?? false;

/** Whether a diffusers model, or a LoRA, can be in the folder. */
async function holdsModel(path: string): Promise<boolean> {
  const names = await readdir(path).catch(() => [] as string[]);
  return names.some(
    (name) => name === 'transformer' || name.endsWith('.safetensors') || name === 'model_index.json',
  );
}

/**
 * A path that exists is itself. An id `owner/name` is the folder that `dwm download` most likely put it in: `name`,
 * `owner/name`, or either below `models/`; or the cache of the hub's own tools.
 * @returns the path as given where none of them is there.
 */
export async function baseModelFolder(path: string): Promise<string> {
  if ((await isFolder(path)) || !/^[\w.-]+\/[\w.-]+$/.test(path)) return path;
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
