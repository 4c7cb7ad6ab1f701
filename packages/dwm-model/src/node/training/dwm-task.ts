/**
 * Modes `lora` and `full`: DWM's own objective, on latents of triplets and the embeddings of their prompts. Mode
 * `inpaint`: the prior that they start from, on the videos and the static videos of the same triplets.
 */
import { join } from 'node:path';
import {
  type Device,
  InvalidArgumentError,
  InvalidFileError,
  type ModelFolder,
  openCheckpoint,
  subfolder,
} from '@dwm/core-tensor';
import type { ClipSize } from '../../pipeline/clip.ts';
import { swapFrames } from '../../pipeline/conditioning.ts';
import { loadTransformer } from '../../pipeline/load-transformer.ts';
import type { DwmPipeline } from '../../pipeline/pipeline.ts';
import { fromConfig } from '../../schedulers/index.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { type BatchRules, batchSpecs, makeBatch } from '../../training/data/batch.ts';
import {
  applyTrained,
  emptyParameters,
  loraFiles,
  loraMetadata,
  startFromLora,
  TRANSFORMER_FILE,
  wholeNetwork,
} from '../../training/export.ts';
import { type InpaintRules, inpaintSpecs, makeInpaintBatch } from '../../training/inpaint.ts';
import { dwmObjective, type ObjectiveInputs } from '../../training/objective.ts';
import { fullTrainable, loraTrainable, type Trainable } from '../../training/trainable.ts';
import {
  readTransformerConfig,
  type TransformerConfig,
  transformerParameters,
} from '../../transformer/index.ts';
import { CogVideoXVae, latentSize, readVaeConfig, spatialRatio } from '../../vae/index.ts';
import { readJson } from '../../weights/config.ts';
import { LORA_FILE, NON_LORA_FILE, widenChannels } from '../../weights/lora.ts';
import { loadParameters, type Parameters } from '../../weights/parameters.ts';
import { TrainingEncoder } from './encoder.ts';
import { ExampleLoader } from './example-loader.ts';
import type { ModelFiles } from './model-folder.ts';
import { allSamples } from './order.ts';
import { trainingSize } from './size.ts';
import type { Batch, TaskContext, TrainingTask } from './task.ts';

const CONFIG = 'transformer/config.json';

export async function dwmTask(context: TaskContext): Promise<TrainingTask> {
  const { config, device, model, folder, datasets, order, shows, loading } = context;
  const { training } = config;
  const settings = training.custom_settings;
  const size = trainingSize(config);
  const vae = await readVaeConfig(subfolder(folder, 'vae'));
  const latent = latentSize(vae, size);
  const schedulerFile = await readJson(folder, 'scheduler/scheduler_config.json');
  const { alphasCumprod } = fromConfig(schedulerFile.json, schedulerFile.file);
  if (!alphasCumprod) {
    throw new InvalidFileError(schedulerFile.file, 'is a flow-matching scheduler; training needs diffusion');
  }

  const isPrior = training.mode === 'inpaint';
  const onProgress = (done: number, total: number) => loading('transformer', done, total);
  const loaded = isPrior
    ? await loadPrior(device, folder, onProgress)
    : await loadTransformer(device, folder, undefined, onProgress);
  const unit = spatialRatio(vae) * loaded.config.patch_size;
  for (const name of ['height', 'width'] as const) {
    if (size[name] % unit !== 0) {
      throw new InvalidArgumentError(
        `data.${name}_buckets`,
        `expected a multiple of ${unit}, got ${size[name]}`,
      );
    }
  }
  const base = loaded.parameters;
  const trainable = await trainableOf(config, base, context);
  const current = emptyParameters();
  // What shows the prior is DWM's pipeline, for which hands make no difference.
  const hands = isPrior ? loaded.config.out_channels : 0;
  const dwmConfig = { ...loaded.config, in_channels: loaded.config.in_channels + hands };
  let pipeline: Promise<DwmPipeline> | undefined;
  const openPipeline = () => {
    pipeline ??= context.openPipeline({ config: dwmConfig, parameters: current });
    return pipeline;
  };
  const loader = new ExampleLoader({
    encoder: new TrainingEncoder({
      model,
      size,
      readClip: context.readClip,
      pipeline: openPipeline,
    }),
    cache: join(config.experiment.output_dir, 'cache'),
    size: latent,
    textDim: loaded.config.text_embed_dim,
    hasTextEncoder: await folder.exists('text_encoder/config.json'),
    loadTensors: settings.load_tensors,
    turnAt: (position) => order.at(position),
    warn: context.warn,
  });
  await loader.check(allSamples(datasets, context.matched));
  const black = () => blackLatents(device, subfolder(folder, 'vae'), size, vae.scaling_factor);
  const rules: BatchRules = {
    seed: training.seed,
    size: latent,
    scalingFactor: vae.scaling_factor,
    alphasCumprod,
    config: loaded.config,
    promptDropout: training.prompt_dropout_prob,
    handDropout: training.hand_dropout_prob,
    timesteps: training.timestep_range,
    ...(!isPrior &&
      training.no_hands_prob > 0 && { noHands: { share: training.no_hands_prob, black: await black() } }),
    ...(training.prompt_dropout_prob > 0 && { emptyText: await loader.emptyText() }),
  };
  const tokens = (await loader.text(datasets[0][0])).length / loaded.config.text_embed_dim;

  const inpaint: InpaintRules | undefined = isPrior
    ? { ...rules, identity: training.inpaint_identity_prob, black: await black() }
    : undefined;

  const json = {
    ...((await readJson(folder, CONFIG)).json as object),
    in_channels: loaded.config.in_channels,
  };
  const files = (theta: Float32Array): ModelFiles =>
    training.mode === 'lora'
      ? {
          weights: loraFiles(trainable.layout, theta),
          texts: new Map(),
          headers: new Map<string, Record<string, string>>([
            [LORA_FILE, loraMetadata(training.lora_rank, training.lora_alpha, training.lora_target_modules)],
            [NON_LORA_FILE, { format: 'pt' }],
          ]),
        }
      : {
          weights: new Map([[TRANSFORMER_FILE, wholeNetwork(trainable.layout, theta)]]),
          texts: new Map([[CONFIG, `${JSON.stringify(json, undefined, 2)}\n`]]),
        };

  return {
    trainable,
    loss: {
      inputs: inpaint
        ? inpaintSpecs(training.batch_size, inpaint, tokens)
        : batchSpecs(training.batch_size, rules, tokens),
      loss: (weights, inputs, tap) =>
        dwmObjective(loaded.config, weights, rules.scalingFactor, inputs as unknown as ObjectiveInputs, {
          recompute: settings.gradient_checkpointing,
          ...(!isPrior && { changeWeight: training.change_weight, huberC: training.huber_c }),
          ...(tap && { tap }),
        }).loss,
    },

    async batch(position): Promise<Batch> {
      const examples = [];
      for (let i = 0; i < training.batch_size; i++) examples.push(await loader.load(position + i));
      if (!inpaint) return makeBatch(examples, position, rules);
      // Videos and static videos by turns: positions of a clip change from epoch to epoch.
      const clips = examples.map(({ text, ...clip }, i) => ({
        video: (position + i) % 2 === 0 ? clip.video : clip.static,
        text,
      }));
      return makeInpaintBatch(clips, position, inpaint);
    },

    files,

    async validate(theta, step, samples) {
      if (shows.validate && samples.length > 0) {
        await applyTrained(device, base, trainable, theta, current);
        if (hands > 0) await widenChannels(device, current, 'patch_embed.proj.weight', hands);
        await shows.validate(await openPipeline(), samples, step);
      }
      return {};
    },

    async finish(theta) {
      return files((await theta.read()) as Float32Array);
    },
  };
}

/** The inpainting prior of a folder, without channels for hands. */
async function loadPrior(
  device: Device,
  folder: ModelFolder,
  onProgress: (done: number, total: number) => void,
): Promise<{ config: TransformerConfig; parameters: Parameters }> {
  const { json, file } = await readJson(folder, CONFIG);
  const config = readTransformerConfig(json, file);
  const expected = 2 * config.out_channels + 1;
  if (config.in_channels !== expected) {
    throw new InvalidFileError(
      file,
      `in_channels: mode inpaint trains noisy | mask | visible clip, ${expected} channels, got ${config.in_channels}`,
      { field: 'in_channels' },
    );
  }
  const checkpoint = await openCheckpoint(folder, 'transformer/diffusion_pytorch_model');
  try {
    const specs = transformerParameters(config);
    return { config, parameters: await loadParameters(device, checkpoint, specs, { onProgress }) };
  } finally {
    await checkpoint.close();
  }
}

/** Scaled latents of a black clip [frames, channels, h, w]: hidden places, and hands that are not there. */
async function blackLatents(
  device: Device,
  folder: ModelFolder,
  { frames, height, width }: ClipSize,
  scaling: number,
): Promise<Float32Array> {
  const vae = await CogVideoXVae.load(device, folder);
  try {
    const black = new Float32Array(3 * frames * height * width).fill(-1);
    const { mean, shape } = await vae.encode(black, [1, 3, frames, height, width]);
    return swapFrames(mean, shape[1], shape[2], scaling);
  } finally {
    vae.destroy();
  }
}

async function trainableOf(
  { training }: ExperimentConfig,
  base: Parameters,
  { loraStart, warn }: TaskContext,
): Promise<Trainable> {
  if (training.mode !== 'lora') return fullTrainable(base);
  const trainable = loraTrainable(base, {
    rank: training.lora_rank,
    alpha: training.lora_alpha,
    targetModules: training.lora_target_modules,
    trainablePatterns: training.trainable_parameter_patterns,
    frozenPatterns: training.frozen_parameter_patterns,
    seed: training.seed,
  });
  if (!loraStart) return trainable;
  const scale = training.lora_alpha / training.lora_rank;
  const { theta, note } = await startFromLora(loraStart, trainable.layout, scale);
  if (note) warn(note);
  return { ...trainable, initial: async () => theta };
}
