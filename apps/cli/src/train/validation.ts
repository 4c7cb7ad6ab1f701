/**
 * Videos and contact sheets of the validation clips, made with the weights as they are. Clips are loaded as training
 * loads them, as in the original.
 */
import { basename, extname, join } from 'node:path';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import type { DwmPipeline, PromptEmbeds, VideoSize } from '@dwm/dwm-model';
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
import { type ClipVideos, readVideos } from '../generate/inputs.ts';
import { outputPaths, writeClip } from '../generate/outputs.ts';

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

/**
 * The videos of a sample: as training loads them, or, where the family takes a video's first frames, as inference does,
 * which also fits them into the size of the run.
 */
async function loadVideos(
  { device, family: { defaults } }: DwmPipeline,
  sample: Sample,
  size: VideoSize,
  fps: number,
  read: ReadClip,
): Promise<ClipVideos> {
  if (defaults.takes === 'first') {
    const job = {
      ...{ name: sample.name, staticVideo: sample.static, handVideo: sample.hand },
      ...{ truth: sample.video, index: 0 },
    };
    return readVideos(job, { frames: size.frames, fps }, 'first');
  }
  const load = async (path: string): Promise<Frames> => ({
    ...(await readTrainingClip(device, read, path, size)),
    fps,
  });
  const truth = await load(sample.video).catch(() => undefined);
  const given = { staticVideo: await load(sample.static), handVideo: await load(sample.hand) };
  return { ...given, ...(truth && { truth }) };
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
  const { defaults, lacks } = pipeline.family;
  for (const [i, sample] of samples.entries()) {
    const videos = await loadVideos(pipeline, sample, size, fps, read);
    const prompt: string | PromptEmbeds = await promptOf(pipeline, sample);
    const { validation_num_inference_steps: steps, validation_guidance_scale: guidance } = data;
    const generated = await pipeline.generate({
      ...videos,
      prompt,
      numFrames: size.frames,
      height: size.height,
      width: size.width,
      numInferenceSteps: steps ?? ours.num_inference_steps ?? pipeline.settings.numInferenceSteps,
      composite: false,
      // Without a text encoder there is no negative prompt to guide away from.
      guidanceScale:
        typeof prompt === 'string' ? (guidance ?? ours.guidance_scale ?? pipeline.settings.guidanceScale) : 1,
      dynamicGuidance: data.validation_use_dynamic_cfg,
      tiling: defaults.readsTiling ? training.custom_settings.enable_tiling : defaults.tiling,
      seed: training.seed + (defaults.seedOfClip === 'same' ? 0 : i),
      mask: lacks['mask none'] === undefined ? 'none' : 'zeros',
      signal,
    });
    const path = join(folder, names[i]);
    await writeClip(outputPaths(path, videos.truth !== undefined), { ...generated, fps }, videos);
    await writeFileAtomic(
      `${path}.txt`,
      typeof prompt === 'string' ? prompt : await readCaption(sample.prompt),
    );
  }
  return folder;
}
