/** Splats from a file on disk, or from the folder of a SOG. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openPath, reach } from '@dwm/core-tensor/node';
import { decodeRgba } from '@dwm/media/node';
import type { SplatCloud, WarnOption } from '../splats/cloud.ts';
import { readSplats } from '../splats/read.ts';
import { type Bound, readBounded } from './read-bounded.ts';

/** A picture of 67 million pixels without any compression. */
const PICTURE: Bound = {
  most: 2 ** 28,
  find: 'copy it beside the meta.json',
  shrink: 'export the splats again',
};

/** @throws InvalidFileError if the file is missing, or as `readSplats`. */
export async function readSplatFile(path: string, options: WarnOption = {}): Promise<SplatCloud> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() === true;
  const file = isFolder ? join(path, 'meta.json') : path;
  const source = await openPath(file);
  const readBeside = async (name: string) => {
    const target = await reach(name, { root: dirname(file), file, field: 'files' });
    return readBounded(target, `${file}: files: ${target}`, PICTURE);
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
