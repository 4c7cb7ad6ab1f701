/** glTF from paths: a .glb, or a .gltf with its files beside it. */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, resolve, sep } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { type ReadGltfOptions, readGltf } from '../mesh/read-gltf.ts';
import type { Scene } from '../scene/scene.ts';

/** Files above this do not fit beside what they unpack to. */
const MAX_BYTES = 2 ** 30;

/** @throws InvalidFileError, in one line, for a missing, oversized or damaged file. */
export async function readGltfFile(
  path: string,
  options: Pick<ReadGltfOptions, 'scene'> = {},
): Promise<Scene> {
  const folder = dirname(resolve(path));
  return readGltf(await readBounded(path, path), {
    ...options,
    name: basename(path),
    readUri: async (uri) => {
      const target = resolve(folder, decodeURIComponent(uri));
      // A scene from a stranger is not to read the rest of the disk.
      if (!target.startsWith(folder + sep)) {
        throw new InvalidFileError(path, `"${uri}" is outside its folder; copy it beside the .gltf`);
      }
      return readBounded(target, path);
    },
  });
}

async function readBounded(path: string, owner: string): Promise<Uint8Array> {
  const entry = await stat(path).catch(() => undefined);
  const who = path === owner ? path : `${owner}: ${path}`;
  if (!entry?.isFile()) throw new InvalidFileError(who, 'no such file; check the path');
  if (entry.size > MAX_BYTES) {
    throw new InvalidFileError(
      who,
      `has ${entry.size} bytes, expected at most ${MAX_BYTES}; simplify the scene`,
    );
  }
  return readFile(path);
}
