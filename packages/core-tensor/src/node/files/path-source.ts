/** A file on disk as random-access bytes, through one open handle. */
import { type FileHandle, open } from 'node:fs/promises';
import { InvalidFileError } from '../../errors.ts';
import { type ByteSource, checkRange } from '../../safetensors/byte-source.ts';

/** One system call reads less than 2 GiB. */
const MAX_READ_BYTES = 2 ** 30;

/** A file error in words that say what to do. */
export function fileProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'no such file or folder';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  return message;
}

/**
 * Opens a file; `close` gives the handle back.
 * @throws InvalidFileError if it is missing, unreadable, or not a file.
 */
export async function openPath(path: string): Promise<ByteSource> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    throw new InvalidFileError(path, fileProblem(error));
  }
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw new InvalidFileError(
      path,
      stat.isDirectory() ? 'is a folder, expected a file' : 'is not a regular file',
    );
  }
  const file = { name: path, size: stat.size };
  return {
    ...file,
    async read(offset, length, into) {
      checkRange(file, offset, length, into);
      const out = into ? into.subarray(0, length) : new Uint8Array(length);
      for (let filled = 0; filled < length; ) {
        const want = Math.min(length - filled, MAX_READ_BYTES);
        const { bytesRead } = await handle.read(out, filled, want, offset + filled);
        if (bytesRead === 0)
          throw new InvalidFileError(path, `was cut to ${offset + filled} bytes while being read`);
        filled += bytesRead;
      }
      return out;
    },
    close: () => handle.close(),
  };
}
