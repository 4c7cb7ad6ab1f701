/** glTF from paths: a .glb, or a .gltf with its files beside it. */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { fileProblem, reach } from '@dwm/core-tensor/node';
import { type ReadGltfOptions, readGltf } from '../mesh/read-gltf.ts';
import type { Scene } from '../scene/scene.ts';

/** Files above this do not fit beside what they unpack to. */
const MAX_BYTES = 2 ** 30;

/**
 * Files that the .gltf names may lie in its folder and below, and links may not lead out.
 * @throws InvalidFileError, in one line, for a missing, oversized or damaged file.
 */
export async function readGltfFile(
  path: string,
  options: Pick<ReadGltfOptions, 'scene' | 'warn'> = {},
): Promise<Scene> {
  const root = dirname(resolve(path));
  return readGltf(await readBounded(path, path), {
    ...options,
    name: basename(path),
    readUri: async (uri, field) => {
      const target = await reach(uri, { root, file: path, field, fix: 'copy it beside the .gltf' });
      return readBounded(target, `${path}: ${field}: ${target}`);
    },
  });
}

async function readBounded(path: string, name: string): Promise<Uint8Array> {
  const entry = await stat(path).catch((error) => {
    throw new InvalidFileError(name, `${fileProblem(error)}; check the path`);
  });
  if (!entry.isFile()) {
    throw new InvalidFileError(name, `is ${entry.isDirectory() ? 'a folder' : 'a device'}, expected a file`);
  }
  if (entry.size > MAX_BYTES) {
    throw new InvalidFileError(
      name,
      `has ${entry.size} bytes, expected at most ${MAX_BYTES}; simplify the scene`,
    );
  }
  return readFile(path).catch((error) => {
    throw new InvalidFileError(name, fileProblem(error));
  });
}
