/** A path is looked at before any decoder is, so that a wrong name gets a sentence about the name. */
import { access, constants, stat } from 'node:fs/promises';
import { InvalidFileError } from '@dwm/core-tensor';

/**
 * @param what the file should be, e.g. `video`.
 * @throws InvalidFileError unless there is a file at `path`, not empty, that may be read.
 */
export async function checkReadable(path: string, what: string): Promise<void> {
  const entry = await stat(path).catch(() => {
    throw new InvalidFileError(path, `no such file; check the path to the ${what}`);
  });
  if (entry.isDirectory())
    throw new InvalidFileError(path, `is a folder; give the path of one ${what} inside`);
  // Pipes and devices block, or never end.
  if (!entry.isFile()) throw new InvalidFileError(path, `is not a file; expected a ${what} on disk`);
  if (entry.size === 0)
    throw new InvalidFileError(path, `is empty (0 bytes), expected a ${what}; copy the file again`);
  await access(path, constants.R_OK).catch(() => {
    throw new InvalidFileError(path, 'cannot be read; check its permissions');
  });
}
