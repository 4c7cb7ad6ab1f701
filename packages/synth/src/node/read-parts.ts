/** The folder of a user's parts: every .glb in it, in the order of their names. */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { readRegularFile } from '@dwm/core-tensor/node';
import { readGltf } from '@dwm/renderer/scene';
import { type Part, partOf } from '../world/parts.ts';

/** A part for rooms, from a file. */
export interface FilePart extends Part {
  /** Of the file, hexadecimal. */
  readonly sha256: string;
}

/**
 * @param warn takes a line for each thing of a part that is not drawn.
 * @throws InvalidFileError, in one line, for a folder without parts and for a part that cannot stand in a room.
 */
export async function readParts(folder: string, warn?: (line: string) => void): Promise<FilePart[]> {
  const names = await readdir(folder).catch(() => {
    throw new InvalidFileError(folder, 'no such folder; check the path of `parts`');
  });
  const files = names.filter((name) => /\.glb$/i.test(name)).sort();
  if (files.length === 0)
    throw new InvalidFileError(folder, 'has no .glb file, expected one at least; export parts as .glb');
  const parts: FilePart[] = [];
  for (const file of files) {
    const path = join(folder, file);
    const bytes = await readRegularFile(path).catch(() => {
      throw new InvalidFileError(path, 'cannot be read, expected a file; check it');
    });
    const part = partOf(await readGltf(bytes, { name: path, warn }), file);
    parts.push({ ...part, sha256: createHash('sha256').update(bytes).digest('hex') });
  }
  return parts;
}
