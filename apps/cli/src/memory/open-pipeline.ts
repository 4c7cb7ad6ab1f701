/** A model on its device, in the fastest way that fits there: planned, and said, before any weight is read. */
import type { Device, ModelFolder } from '@dwm/core-tensor';
import {
  DwmPipeline,
  type LoadOptions,
  type MemoryChoice,
  type ModelShapes,
  planRun,
  type RunNeeds,
  type RunSettings,
  targetOf,
} from '@dwm/dwm-model';
import type { TextEmbeds } from '../generate/inputs.ts';
import { loadingProgress } from '../generate/progress.ts';
import type { Reporter } from '../report.ts';
import { planLine, quantizedLines } from './table.ts';

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
 * @param options of loading, as far as the plan does not say them; `decodeTiling` holds in place of the plan's.
 * @throws RunTooLargeError, before any weight is read, where no way fits; as `DwmPipeline.load`.
 */
export async function openPipeline(
  device: Device,
  { path, folder, shapes, needs }: PlannedModel,
  options: Pick<LoadOptions, 'lora' | 'distilled' | 'network'> & Pick<MemoryChoice, 'decodeTiling'>,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<DwmPipeline> {
  const plan = planRun(shapes, targetOf(device), needs);
  reporter.say(planLine(plan));
  for (const line of await quantizedLines(plan, path)) reporter.say(line);
  const { decodeTiling, ...load } = options;
  return DwmPipeline.load(device, folder, {
    ...load,
    memory: { ...plan.choice, ...(decodeTiling !== undefined && { decodeTiling }) },
    precision: needs.precision,
    onProgress: loadingProgress(reporter, signal),
  });
}
