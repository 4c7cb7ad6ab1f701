/** Having a folder to oneself while writing to it. */
import { mkdir } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { checkOutput, writeProblem } from './disk.ts';
import { type Lock, lock, lockFile } from './lock.ts';
import { removeEmpty } from './remove-empty.ts';
import { sweepTemporary } from './temporary.ts';

/** How an output folder is claimed. */
export interface OutputOptions {
  /** Of what is written, where several processes may write different things to the folder. */
  readonly name?: string;
  /** Bytes that are going to be written, at the least. */
  readonly bytes?: number;
}

/**
 * Runs `work` as the only process that writes to `folder`, which is made where needed and swept of what killed
 * processes left half written. A folder that stays empty is removed again.
 * @throws WriteError if it cannot be written to, or its disk has no room; InUseError if another process has it.
 */
export async function withOutput<T>(
  folder: string,
  { name, bytes }: OutputOptions,
  work: () => Promise<T>,
): Promise<T> {
  await checkOutput(folder, bytes);
  const file = lockFile(folder, name);
  let made: string | undefined;
  let held: Lock | undefined;
  try {
    try {
      made = await mkdir(folder, { recursive: true });
      held = await lock(file, folder);
    } catch (error) {
      throw writeProblem(error, folder, 'nothing was begun');
    }
    await sweepTemporary(folder, name === undefined ? undefined : 0);
    return await work();
  } finally {
    await held?.release();
    if (made) await removeEmpty(resolve(folder), resolve(made));
  }
}

/** Time for whoever else writes a record. */
const WAIT_MS = 10_000;

/**
 * Runs `work`, which reads `path` and writes it anew, while no other process does. Its folder must be there.
 * @throws InUseError if another one does for ten seconds.
 */
export async function whileLocked<T>(path: string, work: () => Promise<T>): Promise<T> {
  const held = await lock(lockFile(dirname(path), basename(path)), path, WAIT_MS).catch((error) => {
    throw writeProblem(error, path);
  });
  try {
    return await work();
  } finally {
    await held.release();
  }
}

/**
 * Runs `work` as one of several processes that write to `folder`, each only what it holds a lease of. What killed
 * processes left half written is swept before and after.
 * @throws WriteError as `withOutput`; InUseError if a process has the folder to itself.
 */
export async function withSharedOutput<T>(folder: string, work: () => Promise<T>): Promise<T> {
  await checkOutput(folder);
  await (async () => {
    await mkdir(folder, { recursive: true });
    const held = await lock(lockFile(folder), folder, WAIT_MS);
    await held.release();
  })().catch((error) => {
    throw writeProblem(error, folder, 'nothing was begun');
  });
  await sweepTemporary(folder);
  try {
    return await work();
  } finally {
    await sweepTemporary(folder);
  }
}
