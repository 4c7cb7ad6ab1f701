/** Looking at the file system before something is read from it or written to it. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DwmError } from '@dwm/core-tensor';

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** @throws DwmError unless files can be made in `folder`, which need not exist yet; makes nothing. */
export async function checkWritable(folder: string): Promise<void> {
  const problem = (text: string) =>
    new DwmError('not-writable', `${folder}: cannot be written to: ${text}; choose another folder`, {
      file: folder,
    });
  for (let at = resolve(folder); ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (!found && at !== dirname(at)) continue;
    if (!found?.isDirectory()) throw problem(`${at} is a file, expected a folder`);
    await access(at, constants.W_OK).catch(() => {
      throw problem(at === resolve(folder) ? 'permission denied' : `no permission to make folders in ${at}`);
    });
    return;
  }
}
