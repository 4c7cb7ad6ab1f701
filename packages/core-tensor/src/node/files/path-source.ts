/** A file on disk as random-access bytes, through one open handle. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { InvalidFileError } from '../../errors.ts';
import { type ByteSource, checkRange } from '../../files/byte-source.ts';

/** One system call reads less than 2 GiB. */
const MAX_READ_BYTES = 2 ** 30;

/** Opening a named pipe otherwise waits for somebody to write into it. Windows has no such flag. */
const NO_WAIT = constants.O_NONBLOCK ?? 0;

/** Errors of the file system in words; the rest keep the system's. */
const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  ENOTDIR: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ELOOP: 'is a link that leads to itself; remove it',
  EISDIR: 'is a folder, expected a file',
  ENXIO: 'is not a regular file',
  ENODEV: 'is not a regular file',
  ENAMETOOLONG: 'the name is too long for the file system; choose a shorter one',
  EROFS: 'the disk can only be read; choose a folder on another one',
  EMFILE: 'too many files are open; raise the limit (ulimit -n) or stop other programs',
  ENFILE: 'too many files are open on this machine; stop other programs',
  ENOSPC: 'the disk is full; free space and run the same command again',
  EDQUOT: 'your quota of this disk is used up; free space and run the same command again',
  EFBIG: 'the file is too large for this file system; choose another disk',
  EIO: 'the disk reports an error (EIO); check it',
};

/** A file error in words that say what to do. */
export function fileProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return PROBLEMS[code ?? ''] ?? message;
}

/**
 * Opens a file; `close` gives the handle back.
 * @param name what messages call it.
 * @throws InvalidFileError if it is missing, unreadable, or not a file.
 */
export async function openPath(path: string, name = path): Promise<ByteSource> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | NO_WAIT);
  } catch (error) {
    throw new InvalidFileError(name, fileProblem(error));
  }
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw new InvalidFileError(
      name,
      stat.isDirectory() ? 'is a folder, expected a file' : 'is not a regular file',
    );
  }
  const file = { name, size: stat.size };
  return {
    ...file,
    async read(offset, length, into) {
      checkRange(file, offset, length, into);
      const out = into ? into.subarray(0, length) : new Uint8Array(length);
      for (let filled = 0; filled < length; ) {
        const want = Math.min(length - filled, MAX_READ_BYTES);
        const { bytesRead } = await handle.read(out, filled, want, offset + filled);
        if (bytesRead === 0)
          throw new InvalidFileError(name, `was cut to ${offset + filled} bytes while being read`);
        filled += bytesRead;
      }
      return out;
    },
    close: () => handle.close(),
  };
}

/**
 * All bytes of a file that other files name. A pipe in its place, on which reading waits for ever, is an error.
 * @throws the file system's error; see `fileProblem`.
 */
export async function readRegularFile(path: string): Promise<Buffer> {
  const handle = await open(path, constants.O_RDONLY | NO_WAIT);
  try {
    const stat = await handle.stat();
    if (stat.isFile()) return await handle.readFile();
    const code = stat.isDirectory() ? 'EISDIR' : 'ENXIO';
    throw Object.assign(new Error(`${code}: is no file, read '${path}'`), { code, path, syscall: 'read' });
  } finally {
    await handle.close();
  }
}

/** The same as UTF-8 text. */
export const readRegularText = async (path: string): Promise<string> =>
  (await readRegularFile(path)).toString();
