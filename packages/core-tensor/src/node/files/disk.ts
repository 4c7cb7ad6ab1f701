/** Writing to disks that are full, read-only, or not ours: said in one line, before the work where it can be known. */
import { access, constants, stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DwmError } from '../../errors.ts';
import { fileProblem } from './path-source.ts';

/** A file that cannot be written. `code` is `disk-full` or `not-writable`. */
export class WriteError extends DwmError {}

const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** Whether the system says that there is no room. */
export const isDiskFull = (error: unknown): boolean =>
  (error instanceof WriteError && error.code === 'disk-full') ||
  FULL.has((error as NodeJS.ErrnoException | undefined)?.code ?? '');

/** What reading calls a missing file is, in writing, a missing folder. */
const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'its folder is not there; make it',
  ENOTDIR: 'a part of its path is a file, expected a folder; choose another path',
  EEXIST: 'there is something of this name; choose another path',
  EISDIR: 'is a folder, expected a file; choose another path',
  ENOTEMPTY: 'is a folder that is not empty; choose another path',
  EACCES: 'permission denied; choose another folder',
  EPERM: 'permission denied; choose another folder',
};

/**
 * An error of the file system in writing `path`, in words; any other error as it is.
 * @param kept what there is all the same.
 */
export function writeProblem(error: unknown, path: string, kept = 'finished files are kept'): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof DwmError || !code || !syscall) return error;
  const details = { file: path, errno: code };
  if (FULL.has(code)) {
    const full = code === 'EDQUOT' ? 'your quota of this disk is used up' : 'the disk is full';
    return new WriteError(
      'disk-full',
      `${path}: ${full}; ${kept}; free space and run the same command again`,
      details,
    );
  }
  return new WriteError('not-writable', `${path}: ${PROBLEMS[code] ?? fileProblem(error)}`, details);
}

/**
 * Whether a path is an address, such as `s3://bucket/x`. Joined to a name it has one slash; Windows' disks are one
 * letter.
 */
export const isAddress = (path: string): boolean => /^[a-z][a-z\d+.-]+:\//i.test(path);

/** @throws WriteError for an address, which would else become a folder of that name. */
export function refuseAddress(path: string): void {
  if (isAddress(path))
    throw new WriteError(
      'not-writable',
      `${path}: is an address, and results go into folders of this machine; choose one, and copy them from there`,
      { file: path },
    );
}

const inWords = (bytes: number): string =>
  bytes >= 1e8 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** No run writes less, and a disk with less is as good as full. */
const LEAST_BYTES = 1e6;

/**
 * @param folder need not exist yet.
 * @param bytes that are going to be written, at the least.
 * @throws WriteError unless files can be made in `folder` and its disk has room for them. Makes nothing.
 */
export async function checkOutput(folder: string, bytes = 0): Promise<void> {
  refuseAddress(folder);
  const problem = (text: string) =>
    new WriteError('not-writable', `${folder}: cannot be written to: ${text}; choose another folder`, {
      file: folder,
    });
  for (let at = resolve(folder); ; at = dirname(at)) {
    const found = await stat(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw problem(fileProblem(error));
    });
    if (!found && at !== dirname(at)) continue;
    if (!found?.isDirectory()) throw problem(`${at} is a file, expected a folder`);
    await access(at, constants.W_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EROFS') throw problem('the disk can only be read');
      throw problem(at === resolve(folder) ? 'permission denied' : `no permission to make folders in ${at}`);
    });
    const { bavail, bsize } = await statfs(at);
    const [free, needed] = [bavail * bsize, Math.max(bytes, LEAST_BYTES)];
    if (free >= needed) return;
    throw new WriteError(
      'disk-full',
      `${folder}: needs about ${inWords(needed)}, the disk has ${inWords(free)} left; free space or choose another folder`,
      { file: folder, needed, available: free },
    );
  }
}
