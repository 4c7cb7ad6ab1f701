/** A run whose model, settings and texts are read and found right: all that its clips have in common. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { checkCache, checkPipelineType, type Draws, type LoraChoice, type ModelFamily } from '@dwm/dwm-model';
import { shortcutsOf } from '../commands/options.ts';
import { needsOf, type PlannedModel } from '../memory/open-pipeline.ts';
import type { Reporter } from '../report.ts';
import type { Worker } from '../work/claim.ts';
import type { Asking } from './asked.ts';
import { checkText, openFineTuned, withTransformer } from './check.ts';
import { type ChosenModel, chooseModel } from './default-model.ts';
import type { Experiment } from './experiment.ts';
import type { Flags } from './flags.ts';
import { readDraws, readPromptEmbeds, type TextEmbeds } from './inputs.ts';
import { givenPrompt } from './prompts.ts';

export interface CheckedRun {
  readonly flags: Flags;
  readonly family: ModelFamily;
  readonly experiment: Experiment;
  readonly planned: PlannedModel;
  readonly loras: readonly LoraChoice[];
  /** Of all clips, where flags give one. */
  readonly prompt?: string | TextEmbeds;
  /** The initial noise, where flags give it. */
  readonly draws?: Draws;
}

/**
 * Everything that can be wrong with the input shows here, not after minutes of loading.
 * @param worker of processes that share a list, which need a seed in common.
 * @throws InvalidFileError or InvalidArgumentError for what the model cannot take.
 */
export async function checkRun(
  asking: Asking,
  defaultModel: string,
  worker: Worker | undefined,
  reporter: Reporter,
): Promise<CheckedRun> {
  const { experiment, family } = asking;
  const chosen = await chooseModel(asking.asked.model, reporter, defaultModel);
  checkPipelineType(family, chosen.path, experiment.type, experiment.file);
  const flags = flagsOf(asking, chosen, worker, reporter);
  sayConditions(flags, family, reporter);
  const tuned = await openFineTuned(flags.loras, experiment.mode);
  const folder = withTransformer(chosen.folder, tuned);
  const embeds = flags.promptEmbeds ? await readPromptEmbeds(flags.promptEmbeds) : undefined;
  await checkText(folder, embeds, flags.guidanceScale > 1);
  const prompt = await givenPrompt(flags, embeds);
  const draws = flags.latents
    ? await readDraws(flags.latents, await family.latentSize(folder, sizeOf(flags)))
    : undefined;
  const shapes = await family.shapes(folder);
  const shortcuts = shortcutsOf(flags);
  const cache = checkCache(shapes.stacked().network, flags.numInferenceSteps, shortcuts);
  const needs = {
    ...needsOf(flags, flags.precision, embeds, family.padsText),
    ...(tuned.loras.length > 0 && {
      loras: await shapes.loras(tuned.loras),
    }),
    ...{ tiling: flags.tiling, cache, cfgSkipRatio: shortcuts.cfgSkipRatio },
  };
  const planned = { path: chosen.path, folder, shapes, needs };
  return { flags, family, experiment, planned, loras: tuned.loras, prompt, draws };
}

function flagsOf(
  { asked, experiment, family: { defaults } }: Asking,
  { path, settings }: ChosenModel,
  worker: Worker | undefined,
  reporter: Reporter,
): Flags {
  const experimentTiling = defaults.readsTiling ? experiment.tiling : undefined;
  return {
    ...settings,
    ...asked,
    model: path,
    negativePrompt: asked.negativePrompt ?? defaults.negativePrompt,
    tiling: asked.tiling ?? experimentTiling ?? defaults.tiling,
    modelFps: asked.modelFps ?? experiment.modelFps,
    seed: asked.seed === 0 && defaults.zeroIsUnseeded ? chanceSeed(reporter, worker) : asked.seed,
  };
}

const sizeOf = ({ numFrames, height, width }: Flags) => ({ frames: numFrames, height, width });

/** A seed for a run that asked for none. */
function chanceSeed(reporter: Reporter, worker: Worker | undefined): number {
  if (worker)
    throw new InvalidArgumentError('seed', '0 is a seed of chance here, another for each process; give one');
  const seed = 1 + Math.floor(Math.random() * (2 ** 32 - 1));
  reporter.say(`--seed 0 is a seed of chance here: ${seed}`);
  return seed;
}

/** What the run goes by that nobody may expect. */
function sayConditions(flags: Flags, family: ModelFamily, reporter: Reporter): void {
  if (family.tellsDefaults) reporter.say(settingsLine(family, flags));
  if (flags.withoutHands) reporter.say(`${flags.withoutHands} knows no hands: no hand video is used`);
  if (flags.firstFrameOnly)
    reporter.say('training.conditioning_mode i2v: of the static video only the first frame is seen');
}

/** What a run is made with, for models whose defaults are not those of the help. */
function settingsLine({ name }: ModelFamily, flags: Flags): string {
  const { numInferenceSteps, guidanceScale, numFrames, width, height, negativePrompt, tiling, seed } = flags;
  return `${name}: ${numInferenceSteps} steps, guidance ${guidanceScale}, ${numFrames} frames of ${width}x${height}, negative prompt "${negativePrompt}", seed ${seed}, ${tiling ? 'in tiles' : 'not tiled'}`;
}
