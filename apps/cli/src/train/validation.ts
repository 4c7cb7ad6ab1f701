/**
 * Videos and contact sheets of the validation clips, made with the weights as they are. Clips are loaded as training
 * loads them, as in the original.
 */
import { basename, extname, join } from 'node:path';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { DEFAULTS, type DwmPipeline, type PromptEmbeds } from '@dwm/dwm-model';
import {
  type ExperimentConfig,
  promptOf,
  type ReadClip,
  readCaption,
  readTrainingClip,
  type Sample,
  trainingSize,
} from '@dwm/dwm-model/node';
import type { Frames } from '@dwm/media/node';
import { outputPaths, toFrames, writeClip } from '../generate/outputs.ts';

/** Folder of the videos of one validation. */
export const validationFolder = (outputDir: string, step: number): string =>
  join(outputDir, 'validation', `step-${String(step).padStart(6, '0')}`);

/** Names of the outputs of samples: the stem, or the whole path where two have the same. */
export function outputNames(samples: readonly Sample[]): string[] {
  const stems = samples.map(({ name }) => basename(name, extname(name)));
  return samples.map(({ name }, i) =>
    stems.filter((stem) => stem === stems[i]).length === 1
      ? stems[i]
      : name.replace(/\.[^.]+$/, '').replaceAll(/[\\/]/g, '_'),
  );
}

/** Writes `<stem>.mp4` and `<stem>.txt`, with comparisons and a contact sheet beside them. */
export async function validate(
  config: ExperimentConfig,
  pipeline: DwmPipeline,
  samples: readonly Sample[],
  step: number,
  read: ReadClip,
  signal: AbortSignal,
): Promise<string> {
  const { data, training, pipeline: ours } = config;
  const size = trainingSize(config);
  const folder = validationFolder(config.experiment.output_dir, step);
  const fps = data.validation_fps;
  const names = outputNames(samples);
  const load = async (path: string): Promise<Frames> => ({
    ...(await readTrainingClip(pipeline.device, read, path, size)),
    fps,
  });
  for (const [i, sample] of samples.entries()) {
    const truth = await load(sample.video).catch(() => undefined);
    const videos = {
      staticVideo: await load(sample.static),
      handVideo: await load(sample.hand),
      ...(truth && { truth }),
    };
    const prompt: string | PromptEmbeds = await promptOf(pipeline, sample);
    const { validation_num_inference_steps: steps, validation_guidance_scale: guidance } = data;
    const generated = await pipeline.generate({
      ...videos,
      prompt,
      numFrames: size.frames,
      height: size.height,
      width: size.width,
      numInferenceSteps: steps ?? ours.num_inference_steps ?? DEFAULTS.numInferenceSteps,
      // Without a text encoder there is no negative prompt to guide away from.
      guidanceScale:
        typeof prompt === 'string' ? (guidance ?? ours.guidance_scale ?? DEFAULTS.guidanceScale) : 1,
      dynamicGuidance: data.validation_use_dynamic_cfg,
      tiling: training.custom_settings.enable_tiling,
      seed: training.seed + i,
      mask: 'none',
      signal,
    });
    const path = join(folder, names[i]);
    await writeClip(outputPaths(path, truth !== undefined), toFrames(generated, fps), videos);
    await writeFileAtomic(
      `${path}.txt`,
      typeof prompt === 'string' ? prompt : await readCaption(sample.prompt),
    );
  }
  return folder;
}
