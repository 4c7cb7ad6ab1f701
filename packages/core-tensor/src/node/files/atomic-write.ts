/**
 * Files that are either the old one or the complete new one: written beside, flushed to disk, renamed. A
 * training run killed in the middle of a checkpoint thus leaves the last good one.
 */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { refuseAddress, writeProblem } from './disk.ts';
import { removeEmpty } from './remove-empty.ts';
import { temporaryPath } from './temporary.ts';

/** Flushes a folder's entries, so that a rename survives a power cut, where the system can (not on Windows). */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes bytes, UTF-8 text, or chunks one after another to `path`, making its folder where needed. If anything
 * fails, `path` is left as it was, and neither a partial file nor a folder made for it remains.
 * @throws WriteError for a full disk and whatever else the file system has against it.
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  refuseAddress(path);
  const chunks = typeof content === 'string' || content instanceof Uint8Array ? [content] : content;
  const temporary = temporaryPath(path);
  let made: string | undefined;
  try {
    made = await mkdir(dirname(path), { recursive: true });
    const handle = await open(temporary, 'wx');
    try {
      try {
        // `writeFile` on a handle writes all of a chunk; `write` may stop early.
        for await (const chunk of chunks) await handle.writeFile(chunk);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncDirectory(dirname(path));
  } catch (error) {
    if (made) await removeEmpty(resolve(dirname(path)), resolve(made));
    throw writeProblem(error, path, 'nothing of it was written, finished files are kept');
  }
}
