/** Latents of triplets and the embeddings of their prompts, in the order of a run, and the rules for batches of them. */
import { join } from 'node:path';
import { type Device, evaluate, InvalidFileError, mul } from '@dwm/core-tensor';
import { type ModelFolder, subfolder } from '@dwm/core-tensor/files';
import type { DwmPipeline } from '../../pipeline/pipeline.ts';
import { fromConfig } from '../../schedulers/index.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import type { BatchRules, Example } from '../../training/data/batch.ts';
import type { TransformerConfig } from '../../transformer/index.ts';
import { CogVideoXVae, latentSize, readVaeConfig, spatialRatio } from '../../vae/index.ts';
import { encodeVideo } from '../../video/codec.ts';
import type { VideoSize } from '../../video/video.ts';
import { readJson } from '../../weights/config.ts';
import { TrainingEncoder } from './encoder.ts';
import { ExampleLoader } from './example-loader.ts';
import { allSamples } from './order.ts';
import { checkBuckets, trainingSize } from './size.ts';
import type { TaskContext } from './task.ts';

interface Examples {
  readonly rules: BatchRules;
  /** Of a prompt. */
  readonly tokens: number;
  /** The batch whose first sample is the run's `position`-th. */
  load(position: number): Promise<Example[]>;
  /** Scaled latents of a black clip [frames, channels, h, w]: hidden places, and hands that are not there. */
  black(): Promise<Float32Array>;
}

/**
 * What configurations tell of a run's batches.
 * @param config of the transformer.
 * @throws InvalidArgumentError for a size that the networks do not take; InvalidFileError for a scheduler of flow matching.
 */
export async function describedRules(
  experiment: ExperimentConfig,
  folder: ModelFolder,
  config: TransformerConfig,
): Promise<Pick<BatchRules, 'config' | 'size' | 'scalingFactor' | 'alphasCumprod'>> {
  const size = trainingSize(experiment);
  const vae = await readVaeConfig(subfolder(folder, 'vae'));
  const scheduler = await readJson(folder, 'scheduler/scheduler_config.json');
  const { alphasCumprod } = fromConfig(scheduler.json, scheduler.file);
  if (!alphasCumprod) {
    throw new InvalidFileError(scheduler.file, 'is a flow-matching scheduler; training needs diffusion');
  }
  checkBuckets(size, spatialRatio(vae) * config.patch_size);
  return { config, size: latentSize(vae, size), scalingFactor: vae.scaling_factor, alphasCumprod };
}

/**
 * @param config of the transformer.
 * @param pipeline loaded when something has to be encoded.
 * @throws as `describedRules`; InvalidFileError for what is missing of the samples.
 */
export async function openExamples(
  { config: experiment, device, model, folder, datasets, matched, order, readClip, warn }: TaskContext,
  config: TransformerConfig,
  pipeline: () => Promise<DwmPipeline>,
): Promise<Examples> {
  const { training } = experiment;
  const size = trainingSize(experiment);
  const described = await describedRules(experiment, folder, config);
  const loader = new ExampleLoader({
    encoder: new TrainingEncoder({ model, size, readClip, pipeline }),
    cache: join(experiment.experiment.output_dir, 'cache'),
    size: described.size,
    textDim: config.text_embed_dim,
    hasTextEncoder: await folder.exists('text_encoder/config.json'),
    loadTensors: training.custom_settings.load_tensors,
    turnAt: (position) => order.at(position),
    warn,
  });
  await loader.check(allSamples(datasets, matched));
  const black = () => blackLatents(device, subfolder(folder, 'vae'), size, described.scalingFactor);
  return {
    rules: {
      ...described,
      seed: training.seed,
      promptDropout: training.prompt_dropout_prob,
      handDropout: training.hand_dropout_prob,
      timesteps: training.timestep_range,
      ...(training.mode !== 'inpaint' &&
        training.no_hands_prob > 0 && { noHands: { share: training.no_hands_prob, black: await black() } }),
      ...(training.prompt_dropout_prob > 0 && { emptyText: await loader.emptyText() }),
    },
    tokens: (await loader.text(datasets[0][0])).length / config.text_embed_dim,
    async load(position) {
      const examples: Example[] = [];
      for (let i = 0; i < training.batch_size; i++) examples.push(await loader.load(position + i));
      return examples;
    },
    black,
  };
}

async function blackLatents(
  device: Device,
  folder: ModelFolder,
  { frames, height, width }: VideoSize,
  scaling: number,
): Promise<Float32Array> {
  const vae = await CogVideoXVae.load(device, folder);
  try {
    const black = { frames, height, width, data: new Uint8Array(3 * frames * height * width) };
    const posterior = await encodeVideo(vae, black);
    const mode = mul(posterior.mode(), scaling);
    const latents = await evaluate(device, { mode }).finally(() => posterior.destroy());
    try {
      return (await latents.mode.read()) as Float32Array;
    } finally {
      latents.mode.destroy();
    }
  } finally {
    vae.destroy();
  }
}
