/** What results depend on beside what was asked for. Times and places of files differ from machine to machine. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { modelFiles } from '@dwm/dwm-model';
import { hashFile } from '@dwm/dwm-model/node';

/**
 * Hashes of what the files hold, and of all files below the folders, in their order.
 * @param paths what is not there, or not given, counts as nothing.
 */
export async function contentsOf(paths: readonly (string | undefined)[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    const is = path === undefined ? undefined : await stat(path).catch(() => undefined);
    if (is?.isDirectory()) found.push(...(await contentsOf(await filesBelow(path!))));
    else if (is?.isFile()) found.push(await hashFile(path!));
    else found.push('');
    // It draws from other files beside it.
    if (path?.endsWith('.gltf')) found.push(...(await contentsOf([dirname(path)])));
  }
  return found;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.endsWith('.gltf'));
  return files.map(({ parentPath, name }) => join(parentPath, name)).sort();
}

/** Of the files that a model is loaded from. */
export const contentsOfModel = async (folder: ModelFolder): Promise<string[]> =>
  contentsOf((await modelFiles(folder)).map((file) => join(folder.name, file)));
