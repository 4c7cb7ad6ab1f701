/** Splats from a file on disk. */
import { openPath } from '@dwm/core-tensor/node';
import type { SplatCloud } from '../splats/cloud.ts';
import { readSplats } from '../splats/read.ts';

/** @throws InvalidFileError if the file is missing, or as `readSplats`. */
export async function readSplatFile(path: string): Promise<SplatCloud> {
  const source = await openPath(path);
  try {
    return await readSplats(source);
  } finally {
    await source.close?.();
  }
}
