/**
 * Which model a command runs: the folder that is named, or the one that comes with the repository; and what that
 * model was made for, which holds wherever no option says otherwise.
 */
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { openDirectory } from '@dwm/core-tensor/node';
import { familyOf, type ModelFamily, modelFiles, type RunSettings, readRunSettings } from '@dwm/dwm-model';
import type { Reporter } from '../report.ts';
import { openModel } from './check.ts';
import { exists } from './files.ts';

const ofPackage = (name: string) => dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));

/** The trained model that comes along; docs/model-card.md says how it was made. */
export const DEFAULT_MODEL = ofPackage('@dwm/dwm-tiny');
/** The one that runs live. */
export const DEFAULT_LIVE_MODEL = ofPackage('@dwm/dwm-tiny-live');

export interface ChosenModel {
  readonly path: string;
  readonly folder: ModelFolder;
  readonly settings: RunSettings;
}

/**
 * Opens `model`, or `fallback` where none is given, and says so.
 * @throws InvalidFileError where the folder is not there or not whole, or its `generation.json` cannot be used.
 */
export async function chooseModel(
  model: string | undefined,
  reporter: Reporter,
  fallback = DEFAULT_MODEL,
): Promise<ChosenModel> {
  if (model === undefined) {
    const chosen = await openDefaultModel(fallback);
    reporter.say(`no --model is given: the model is ${madeFor(chosen)}`);
    return chosen;
  }
  return openWholeModel(model);
}

/** The family of a model that may not be there: what is missing is said later, when it is opened. */
export async function familyOfModel(path: string): Promise<ModelFamily> {
  const found = await exists(path);
  return familyOf(
    found ? await openDirectory(path) : { name: path, exists: async () => false, open: missing },
  );
}

const missing = (path: string): never => {
  throw new InvalidFileError(path, 'no such file');
};

/** @throws InvalidFileError that names what is missing, or where `generation.json` cannot be used. */
export async function openWholeModel(path: string): Promise<ChosenModel> {
  const folder = await openModel(path);
  await modelFiles(folder);
  return { path, folder, settings: await readRunSettings(folder) };
}

/** @throws InvalidFileError where it is not there. */
export async function openDefaultModel(path = DEFAULT_MODEL): Promise<ChosenModel> {
  if (!(await exists(join(path, 'model_index.json')))) {
    const kept = path === DEFAULT_LIVE_MODEL ? 'models/dwm-tiny-live' : 'models/dwm-tiny';
    throw new InvalidFileError(
      path,
      `the default model is not there; restore it with "git checkout -- ${kept}", or name another with --model`,
    );
  }
  return openWholeModel(path);
}

/** E.g. `dwm-tiny, made for 17 frames of 96x64`. */
export const madeFor = ({ path, settings: { numFrames, width, height } }: ChosenModel): string =>
  `${basename(path)}, made for ${numFrames} frames of ${width}x${height}`;
