/** glTF from paths: a .glb, or a .gltf with its files beside it. */
import { basename, dirname, resolve } from 'node:path';
import { reach } from '@dwm/core-tensor/node';
import { type ReadGltfOptions, readGltf } from '../mesh/read-gltf.ts';
import type { Scene } from '../scene/scene.ts';
import { type Bound, readBounded } from './read-bounded.ts';

/** Larger files do not fit beside what they unpack to. */
const BOUND: Bound = { most: 2 ** 30, find: 'check the path', shrink: 'simplify the scene' };

/**
 * Files that the .gltf names may lie in its folder and below, and links may not lead out.
 * @throws InvalidFileError, in one line, for a missing, oversized or damaged file.
 */
export async function readGltfFile(
  path: string,
  options: Pick<ReadGltfOptions, 'scene' | 'warn'> = {},
): Promise<Scene> {
  const root = dirname(resolve(path));
  return readGltf(await readBounded(path, path, BOUND), {
    ...options,
    name: basename(path),
    readUri: async (uri, field) => {
      const target = await reach(uri, { root, file: path, field, fix: 'copy it beside the .gltf' });
      return readBounded(target, `${path}: ${field}: ${target}`, BOUND);
    },
  });
}
