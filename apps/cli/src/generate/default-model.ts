/**
 * Which model a command runs: the folder that is named, or the one that comes with the repository; and what that
 * model was made for, which holds wherever no option says otherwise.
 */
import { join } from 'node:path';
import { InvalidFileError, type ModelFolder } from '@dwm/core-tensor';
import { type GenerationSettings, readGenerationSettings } from '@dwm/dwm-model';
import type { Reporter } from '../report.ts';
import { openModel } from './check.ts';
import { exists } from './files.ts';

/** The trained model of the repository; docs/dwm-tiny.md says how it was made. */
export const DEFAULT_MODEL = join(import.meta.dirname, '../../../../models/dwm-tiny');

export interface ChosenModel {
  readonly path: string;
  readonly folder: ModelFolder;
  readonly settings: GenerationSettings;
}

/**
 * Opens `model`, or `fallback` where none is given, and says so.
 * @throws InvalidFileError where the folder is not there, or its `generation.json` cannot be used.
 */
export async function chooseModel(
  model: string | undefined,
  reporter: Reporter,
  fallback = DEFAULT_MODEL,
): Promise<ChosenModel> {
  const path = model ?? fallback;
  if (model === undefined && !(await exists(join(path, 'model_index.json')))) {
    throw new InvalidFileError(
      path,
      'the default model is not there; restore it with "git checkout -- models/dwm-tiny", or give --model the folder of another',
    );
  }
  const folder = await openModel(path);
  const settings = await readGenerationSettings(folder);
  if (model === undefined) {
    const { numFrames, width, height } = settings;
    reporter.say(`no --model: ${path}, made for ${numFrames} frames of ${width}x${height}`);
  }
  return { path, folder, settings };
}
