/** A model on its device, in the fastest way that fits there: planned, and said, before any weight is read. */
import type { Device } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { DwmPipeline, type LoadOptions, type RunSettings } from '@dwm/dwm-model';
import {
  DECODES_ONLY,
  isLivePlan,
  type ModelShapes,
  planClips,
  type RunNeeds,
  smallerTiles,
  targetOf,
} from '@dwm/dwm-model/memory';
import type { TextEmbeds } from '../generate/inputs.ts';
import { loadingProgress } from '../generate/progress.ts';
import type { Reporter } from '../report.ts';
import { planLines } from './table.ts';

/** What is planned: a model, and the run that it is for. */
export interface PlannedModel {
  /** Its folder, as messages name it. */
  readonly path: string;
  readonly folder: ModelFolder;
  readonly shapes: ModelShapes;
  readonly needs: RunNeeds;
}

/**
 * Steps and size of clips, and the text that they go with, as a plan needs them.
 * @param padsText as the model's family has it: embeddings get the length of any text.
 */
export function needsOf(
  settings: Omit<RunSettings, 'fps'>,
  precision: RunNeeds['precision'] = 'f32',
  embeds?: TextEmbeds,
  padsText = false,
): RunNeeds {
  const { numFrames, height, width, numInferenceSteps, guidanceScale, composite } = settings;
  const guided = guidanceScale > 1;
  return {
    ...{ numFrames, height, width, numInferenceSteps, guided, precision, composite },
    encodesText: !embeds || (guided && !embeds.negative),
    ...(embeds && { textTokens: padsText ? undefined : embeds.tokens }),
  };
}

/**
 * @param device what is on it already is taken off its memory.
 * @param options of loading, as far as the plan does not say them. `again` decodes in smaller tiles than planned, latents
 *   that did not decode: those of `some` of the clips, or of `all`, and then the transformer is left where it is.
 * @throws RunTooLargeError, before any weight is read, where no way fits; as `DwmPipeline.load`.
 */
export async function openPipeline(
  device: Device,
  { path, folder, shapes, needs }: PlannedModel,
  { again, ...options }: Pick<LoadOptions, 'lora' | 'distilled' | 'network'> & { again?: 'some' | 'all' },
  reporter: Reporter,
  signal: AbortSignal,
): Promise<DwmPipeline> {
  const target = targetOf(device);
  const plan = await planClips(shapes, target, needs);
  const decodeTiling = again && !isLivePlan(plan) ? smallerTiles(shapes, target, plan, needs) : undefined;
  if (decodeTiling) {
    const { tileSampleMinWidth: columns, tileSampleMinHeight: rows } = decodeTiling;
    reporter.say(`memory: latents that were kept are decoded in tiles of ${columns}x${rows}`);
  }
  if (again !== 'all') {
    for (const line of await planLines(plan, path)) reporter.say(line);
  }
  return DwmPipeline.load(device, folder, {
    ...options,
    memory: {
      ...plan.choice,
      ...(decodeTiling && { decodeTiling }),
      ...(again === 'all' && DECODES_ONLY),
    },
    precision: needs.precision,
    onProgress: loadingProgress(reporter, signal),
  });
}
