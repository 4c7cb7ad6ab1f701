/** Modes `lora` and `full`: DWM's own objective, on latents of triplets and the embeddings of their prompts. */
import { join } from 'node:path';
import { InvalidArgumentError, InvalidFileError, subfolder } from '@dwm/core-tensor';
import { openDirectory } from '@dwm/core-tensor/node';
import { loadTransformer } from '../../pipeline/load-transformer.ts';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import { fromConfig } from '../../schedulers/index.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { type BatchRules, batchSpecs, makeBatch } from '../../training/data/batch.ts';
import { MixedSampler } from '../../training/data/sampler.ts';
import {
  applyTrained,
  emptyParameters,
  loraFiles,
  startFromLora,
  TRANSFORMER_FILE,
  wholeNetwork,
} from '../../training/export.ts';
import { dwmObjective, type ObjectiveInputs } from '../../training/objective.ts';
import { fullTrainable, loraTrainable, type Trainable } from '../../training/trainable.ts';
import { latentSize, readVaeConfig, spatialRatio } from '../../vae/index.ts';
import { readJson } from '../../weights/config.ts';
import type { Parameters } from '../../weights/parameters.ts';
import { TrainingEncoder } from './encoder.ts';
import { ExampleLoader } from './example-loader.ts';
import type { ModelFiles } from './model-folder.ts';
import { trainingSize } from './size.ts';
import type { Batch, TaskContext, TrainingTask } from './task.ts';

const CONFIG = 'transformer/config.json';

export async function dwmTask(context: TaskContext): Promise<TrainingTask> {
  const { config, device, model, datasets, validation, shows, loading } = context;
  const { training, data } = config;
  const settings = training.custom_settings;
  const size = trainingSize(config);
  const folder = await openDirectory(model);
  const vae = await readVaeConfig(subfolder(folder, 'vae'));
  const latent = latentSize(vae, size);
  const schedulerFile = await readJson(folder, 'scheduler/scheduler_config.json');
  const { alphasCumprod } = fromConfig(schedulerFile.json, schedulerFile.file);
  if (!alphasCumprod) {
    throw new InvalidFileError(schedulerFile.file, 'is a flow-matching scheduler; training needs diffusion');
  }

  const loaded = await loadTransformer(device, folder, undefined, (done, total) =>
    loading('transformer', done, total),
  );
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
  const trainable = await trainableOf(config, base, context.loraStart);
  const current = emptyParameters();
  let pipeline: Promise<DwmPipeline> | undefined;
  const openPipeline = () => {
    pipeline ??= DwmPipeline.load(device, folder, {
      transformer: { config: loaded.config, parameters: current },
      onProgress: loading,
    });
    return pipeline;
  };
  const sampler = new MixedSampler(
    training.seed,
    data.dataset_file.map(({ weight }, i) => ({ count: datasets[i].length, weight })),
  );
  const loader = new ExampleLoader({
    encoder: new TrainingEncoder({
      model,
      size,
      tiling: settings.enable_tiling,
      readClip: context.readClip,
      pipeline: openPipeline,
    }),
    cache: join(config.experiment.output_dir, 'cache'),
    size: latent,
    textDim: loaded.config.text_embed_dim,
    hasTextEncoder: await folder.exists('text_encoder/config.json'),
    loadTensors: settings.load_tensors,
    sampleAt(position) {
      const { dataset, clip } = sampler.at(position);
      return datasets[dataset][clip];
    },
  });
  const rules: BatchRules = {
    seed: training.seed,
    size: latent,
    scalingFactor: vae.scaling_factor,
    alphasCumprod,
    config: loaded.config,
    promptDropout: training.prompt_dropout_prob,
    handDropout: training.hand_dropout_prob,
    ...(training.prompt_dropout_prob > 0 && { emptyText: await loader.emptyText() }),
  };
  const tokens = (await loader.text(datasets[0][0])).length / loaded.config.text_embed_dim;

  const json = {
    ...((await readJson(folder, CONFIG)).json as object),
    in_channels: loaded.config.in_channels,
  };
  const files = (theta: Float32Array): ModelFiles =>
    training.mode === 'lora'
      ? { weights: loraFiles(trainable.layout, theta), texts: new Map() }
      : {
          weights: new Map([[TRANSFORMER_FILE, wholeNetwork(trainable.layout, theta)]]),
          texts: new Map([[CONFIG, `${JSON.stringify(json, undefined, 2)}\n`]]),
        };

  return {
    trainable,
    loss: {
      inputs: batchSpecs(training.batch_size, rules, tokens),
      loss: (weights, inputs, tap) =>
        dwmObjective(loaded.config, weights, rules.scalingFactor, inputs as unknown as ObjectiveInputs, {
          recompute: settings.gradient_checkpointing,
          ...(tap && { tap }),
        }).loss,
    },

    async batch(position): Promise<Batch> {
      const examples = [];
      for (let i = 0; i < training.batch_size; i++) examples.push(await loader.load(position + i));
      return makeBatch(examples, position, rules);
    },

    files,

    async validate(theta, step) {
      if (shows.validate && validation.length > 0) {
        await applyTrained(device, base, trainable, theta, current);
        await shows.validate(await openPipeline(), validation, step);
      }
      return {};
    },

    async finish(theta) {
      return training.mode === 'lora' ? undefined : files((await theta.read()) as Float32Array);
    },
  };
}

async function trainableOf(
  { training }: ExperimentConfig,
  base: Parameters,
  loraStart: string | undefined,
): Promise<Trainable> {
  if (training.mode !== 'lora') return fullTrainable(base);
  const trainable = loraTrainable(base, {
    rank: training.lora_rank,
    alpha: training.lora_alpha,
    targetModules: training.lora_target_modules,
    trainablePatterns: training.trainable_parameter_patterns,
    seed: training.seed,
  });
  if (!loraStart) return trainable;
  const theta = await startFromLora(await openDirectory(loraStart), trainable.layout);
  return { ...trainable, initial: async () => theta };
}
