/** Files that a scene names, read whole unless they are too large for that. */
import { readFile, stat } from 'node:fs/promises';
import { InvalidFileError } from '@dwm/core-tensor';
import { fileProblem } from '@dwm/core-tensor/node';

export interface Bound {
  /** Bytes at most. */
  readonly most: number;
  /** What to do where the file is missing. */
  readonly find: string;
  /** What to do where it is larger. */
  readonly shrink: string;
}

/**
 * @param name what messages call the file.
 * @throws InvalidFileError where it is missing, unreadable, no file, or larger than `most` bytes.
 */
export async function readBounded(
  path: string,
  name: string,
  { most, find, shrink }: Bound,
): Promise<Uint8Array> {
  const entry = await stat(path).catch((error) => {
    throw new InvalidFileError(name, `${fileProblem(error)}; ${find}`);
  });
  if (!entry.isFile()) {
    throw new InvalidFileError(name, `is ${entry.isDirectory() ? 'a folder' : 'a device'}, expected a file`);
  }
  if (entry.size > most) {
    throw new InvalidFileError(name, `has ${entry.size} bytes, expected at most ${most}; ${shrink}`);
  }
  return readFile(path).catch((error) => {
    throw new InvalidFileError(name, fileProblem(error));
  });
}
