/** Splats from a file on disk, or from the folder of a SOG. */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { openPath, reach } from '@dwm/core-tensor/node';
import { decodeRgba } from '@dwm/media/node';
import type { SplatCloud, WarnOption } from '../splats/cloud.ts';
import { readSplats } from '../splats/read.ts';

/** A picture of 67 million pixels without any compression. */
const MAX_PICTURE_BYTES = 2 ** 28;

/** @throws InvalidFileError if the file is missing, or as `readSplats`. */
export async function readSplatFile(path: string, options: WarnOption = {}): Promise<SplatCloud> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() === true;
  const file = isFolder ? join(path, 'meta.json') : path;
  const source = await openPath(file);
  const readBeside = async (name: string) => {
    const target = await reach(name, { root: dirname(file), file, field: 'files' });
    const entry = await stat(target).catch(() => undefined);
    if (!entry?.isFile())
      throw new InvalidFileError(file, `${basename(target)} is not beside it; copy it there`);
    if (entry.size > MAX_PICTURE_BYTES)
      throw new InvalidFileError(target, `has ${entry.size} bytes, expected a picture of splats`);
    return readFile(target);
  };
  try {
    return await readSplats(source, {
      ...options,
      decodeImage: ({ name, bytes }) => decodeRgba(name, bytes),
      readBeside,
    });
  } finally {
    await source.close?.();
  }
}
