/** What is asked for: by the flags and, where they say nothing, by the experiment file. */
import { dirname, join } from 'node:path';
import type { ModelFamily } from '@dwm/dwm-model';
import { modelFolder } from '../hub-folder.ts';
import { openDataRoot } from '../remote/data-roots.ts';
import type { Reporter } from '../report.ts';
import { givenLora } from './check.ts';
import { familyOfModel } from './default-model.ts';
import { type Experiment, findExperiment, readExperiment } from './experiment.ts';
import { isFile } from './files.ts';
import type { Asked, Given } from './flags.ts';
import { belowRoot } from './jobs.ts';

export interface Asking {
  readonly asked: Asked;
  readonly experiment: Experiment;
  /** Of the model, which may not be there. */
  readonly family: ModelFamily;
}

/** @throws as `readExperiment`, `openDataRoot` and `familyOfModel`. */
export async function readAsked(
  given: Given,
  defaultModel: string,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Asking> {
  const loras = await Promise.all((given.checkpointPath ?? []).map(givenLora));
  const checkpointPath = loras[0]?.path;
  const checkpointFolder =
    checkpointPath && ((await isFile(checkpointPath)) ? dirname(checkpointPath) : checkpointPath);
  const configFile = given.experimentConfig ?? (await findExperiment(checkpointFolder));
  const experiment = await readExperiment(configFile, given.override ?? [], reporter);
  if (configFile !== given.experimentConfig) reporter.say(`the experiment is ${configFile}`);
  const sizes = (['height', 'width', 'numFrames'] as const).flatMap((name) => {
    const value = given[name] ?? experiment[name];
    return value === undefined ? [] : [[name, value]];
  });
  const model = given.model ?? experiment.baseModel;
  const root = given.dataRoot ?? experiment.dataRoot;
  const listed = given.datasetFile ?? given.video;
  const opened = listed === undefined ? undefined : await openDataRoot(root, listed, signal);
  const modelPath = model && (await modelFolder(model));
  const family = await familyOfModel(modelPath ?? defaultModel);
  const withoutHands = family.typesWithoutHands?.find((type) => type === experiment.type);
  const asked: Asked = {
    ...given,
    ...{ withoutHands, firstFrameOnly: experiment.conditioning === 'i2v' },
    ...(opened && { remote: opened.remote, [given.datasetFile ? 'datasetFile' : 'video']: opened.list }),
    ...Object.fromEntries(sizes),
    model: modelPath,
    loras,
    dataRoot: opened?.remote.folder ?? root,
    promptSubdir: given.promptSubdir ?? experiment.promptSubdir ?? 'prompts_rewrite',
    staticSubdir: experiment.staticSubdir,
    handSubdir: experiment.handSubdir,
    // The original's folder, where nothing else is said.
    outputDir:
      given.outputDir ?? (checkpointFolder && !given.out ? join(checkpointFolder, 'inference') : undefined),
  };
  if (asked.video !== undefined) asked.video = await belowRoot(asked.video, asked.dataRoot);
  return { asked, experiment, family };
}
