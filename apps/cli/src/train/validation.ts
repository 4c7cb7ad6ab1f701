/** Videos and contact sheets of the validation clips, made with the weights as they are. */
import { join } from 'node:path';
import { DEFAULTS, type DwmPipeline, type PromptEmbeds } from '@dwm/dwm-model';
import { type ExperimentConfig, promptOf, type Sample, trainingSize } from '@dwm/dwm-model/node';
import { readVideos } from '../generate/inputs.ts';
import { outputPaths, toFrames, writeClip } from '../generate/outputs.ts';

/** Frames a second of what is written. */
const FPS = 8;

/** Writes `<output_dir>/validation/step-<n>/<stem>.mp4` with comparisons and a contact sheet beside it. */
export async function validate(
  config: ExperimentConfig,
  pipeline: DwmPipeline,
  samples: readonly Sample[],
  step: number,
  signal: AbortSignal,
): Promise<string> {
  const size = trainingSize(config);
  const folder = join(config.experiment.output_dir, 'validation', `step-${step}`);
  const number = (key: string, otherwise: number) => {
    const value = config.pipeline[key];
    return typeof value === 'number' ? value : otherwise;
  };
  for (const [i, sample] of samples.entries()) {
    const stem = sample.name.replace(/\.[^.]+$/, '').replaceAll(/[\\/]/g, '_');
    const job = {
      name: stem,
      staticVideo: sample.static,
      handVideo: sample.hand,
      truth: sample.video,
      index: i,
    };
    const videos = await readVideos(job, FPS);
    const prompt: string | PromptEmbeds = await promptOf(pipeline, sample);
    const generated = await pipeline.generate({
      ...videos,
      prompt,
      numFrames: size.frames,
      height: size.height,
      width: size.width,
      numInferenceSteps: number('num_inference_steps', DEFAULTS.numInferenceSteps),
      // Without a text encoder there is no negative prompt to guide away from.
      guidanceScale: typeof prompt === 'string' ? number('guidance_scale', DEFAULTS.guidanceScale) : 1,
      seed: config.training.seed + i,
      mask: 'none',
      signal,
    });
    const truth = videos.truth !== undefined;
    await writeClip(outputPaths(join(folder, stem), truth), toFrames(generated, FPS), videos);
  }
  return folder;
}
