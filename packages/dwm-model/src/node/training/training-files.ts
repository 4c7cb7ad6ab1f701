/** What `dwm encode` wrote for the samples of a run, read for its task. */
import { checkFiles, type Sample } from './dataset.ts';
import { encodedFile, noEncodedFile, readEmbeds, readLatents } from './encoded.ts';
import { readCaption } from './encoder.ts';
import type { TrainingFiles } from './task.ts';

const ENCODE_FIRST = 'run dwm encode first';

/** The files of these samples, as they were encoded before. */
export function trainingFiles(samples: readonly Sample[]): TrainingFiles {
  const file = async (path: string) => {
    const found = await encodedFile(path);
    if (found) return found;
    throw noEncodedFile(path, ENCODE_FIRST);
  };
  return {
    check: (needs, hint) => checkFiles(samples, needs, hint),
    latents: async (path, size) => readLatents(await file(path), size),
    embeds: async (path, dim) => (await readEmbeds(await file(path), dim)).values,
    caption: readCaption,
  };
}
