/** The files that a model consists of, found by asking for each: a server has no listing. */
import type { ModelFolder } from '@dwm/core-tensor/files';
import { familyOf } from '../families/index.ts';

/**
 * Paths in the folder. A model may have no text encoder, and then needs no tokenizer.
 * @throws InvalidFileError that names every file that is missing.
 */
export const modelFiles = async (folder: ModelFolder): Promise<string[]> =>
  (await familyOf(folder)).files(folder);
