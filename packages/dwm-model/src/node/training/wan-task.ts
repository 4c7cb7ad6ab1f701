/**
 * Mode `lora` on a Wan model, as the original trains it: latents and embeddings that dwm encode made, updates beside
 * every linear layer, and the optimizer's numbers as its code fixes them.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { InvalidArgumentError, InvalidFileError, layoutSafetensors, openTensorFile } from '@dwm/core-tensor';
import { openDirectory, openPath } from '@dwm/core-tensor/node';
import { familyOf } from '../../families/index.ts';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import { FlowMatchEulerDiscreteScheduler } from '../../schedulers/flow-euler.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { applyTrained, emptyParameters } from '../../training/export.ts';
import {
  makeWanBatch,
  readWanLora,
  type SavedTensor,
  WAN_LORA_FILE,
  type WanBatchRules,
  type WanConfig,
  type WanExample,
  type WanObjectiveInputs,
  wanBatchSpecs,
  wanLoraFiles,
  wanLoraTrainable,
  wanObjective,
} from '../../wan/index.ts';
import { NON_LORA_FILE } from '../../weights/lora.ts';
import { checkFiles } from './dataset.ts';
import { encodedFile, noEncodedFile, readEmbeds, readLatents } from './encoded.ts';
import type { ModelFiles } from './model-folder.ts';
import { allSamples, batchOrder } from './order.ts';
import { trainingSize } from './size.ts';
import type { TaskContext, TrainingTask } from './task.ts';

/** Fixed in the original's code, whatever the experiment says. */
const FIXED = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, max_grad_norm: 1 } as const;

/** What has no meaning for Wan's objective: it must be left as it is. */
const LEFT_ALONE = {
  no_hands_prob: 0,
  change_weight: 0,
  huber_c: 0,
  prompt_dropout_prob: 0,
} as const;

export async function wanTask(context: TaskContext): Promise<TrainingTask> {
  const { config, device, model, datasets, matched, shows, loading, warn } = context;
  const { training } = config;
  checkSettings(config, warn);
  const size = trainingSize(config);
  const folder = await openDirectory(model);
  const family = await familyOf(folder);
  const latent = await family.latentSize(folder, size);
  const scheduler = await family.loadScheduler(folder);
  if (!(scheduler instanceof FlowMatchEulerDiscreteScheduler)) {
    throw new InvalidFileError(
      join(model, 'scheduler/scheduler_config.json'),
      `_class_name: Wan trains with FlowMatchEulerDiscreteScheduler, got ${scheduler.className}`,
      { field: '_class_name' },
    );
  }
  const samples = allSamples(datasets, matched);
  await checkFiles(
    samples,
    ({ latents, promptEmbeds }) => ({
      encoded: [latents.video, latents.static, latents.hand, promptEmbeds],
    }),
    'run dwm encode first',
  );

  const loaded = await family.loadTransformer(device, folder, undefined, (done, total) =>
    loading('transformer', done, total),
  );
  const network = {
    ...(loaded.config as WanConfig),
    ...(config.pipeline.fps !== undefined && { fps: config.pipeline.fps }),
  };
  const unit = network.patch;
  for (const name of ['height', 'width'] as const) {
    if (!Number.isInteger(latent[name] / unit)) {
      throw new InvalidArgumentError(
        `data.${name}_buckets`,
        `expected a multiple of ${Math.round((size[name] / latent[name]) * unit)}, got ${size[name]}`,
      );
    }
  }
  const base = loaded.parameters;
  const lora = wanLoraTrainable(base, {
    rank: training.lora_rank,
    alpha: training.lora_alpha,
    trainablePatterns: training.trainable_parameter_patterns,
    clipFeatures: training.clip_features,
    seed: training.seed,
  });
  const start = context.loraStart === undefined ? undefined : await readStart(context.loraStart, lora);
  const trainable = start ? { ...lora, initial: async () => start.theta } : lora;
  const idle = start?.idle ?? (await lora.idle.initial());

  const order = batchOrder(config, datasets, matched);
  const read = async (path: string) => {
    const file = await encodedFile(path);
    if (file) return file;
    throw noEncodedFile(path, 'run dwm encode first');
  };
  const example = async (position: number): Promise<WanExample> => {
    const { clip, caption } = order.at(position);
    const [video, still, hand] = await Promise.all(
      [clip.latents.video, clip.latents.static, clip.latents.hand].map(async (path) =>
        readLatents(await read(path), latent),
      ),
    );
    const { values: text } = await readEmbeds(await read(caption.promptEmbeds), network.textDim);
    return { video, static: still, hand, text };
  };
  const rules: WanBatchRules = {
    ...{ seed: training.seed, size: latent, config: network },
    handDropout: training.hand_dropout_prob,
    timesteps: scheduler.trainTimesteps,
    sigmas: scheduler.trainSigmas,
    range: training.timestep_range,
  };
  const half = training.custom_settings.mixed_precision === 'bf16';
  const files = (theta: Float32Array): ModelFiles => {
    const weights = wanLoraFiles(
      [
        { layout: lora.layout, theta },
        { layout: lora.idle.layout, theta: idle },
      ],
      training.lora_alpha,
      half,
    );
    const headers = new Map([[WAN_LORA_FILE, kohyaHashes(weights.get(WAN_LORA_FILE)!)]]);
    return { weights, texts: new Map(), headers };
  };

  const current = emptyParameters();
  let pipeline: Promise<DwmPipeline> | undefined;
  return {
    trainable,
    fixed: FIXED,
    clippedLength: lora.lowRankLength,
    loss: {
      inputs: wanBatchSpecs(training.batch_size, rules),
      loss: (weights, inputs, tap) =>
        wanObjective(network, weights, inputs as unknown as WanObjectiveInputs, {
          recompute: training.custom_settings.gradient_checkpointing,
          clipFeatures: training.clip_features,
          ...(tap && { tap }),
        }).loss,
    },

    async batch(position) {
      const examples: WanExample[] = [];
      for (let i = 0; i < training.batch_size; i++) examples.push(await example(position + i));
      return makeWanBatch(examples, position, rules);
    },

    files,

    async validate(theta, step, shown) {
      if (!shows.validate || shown.length === 0) return {};
      await applyTrained(device, base, trainable, theta, current);
      pipeline ??= DwmPipeline.load(device, folder, {
        transformer: { config: network, parameters: current },
        onProgress: loading,
      });
      await shows.validate(await pipeline, shown, step);
      return {};
    },

    async finish(theta) {
      return files((await theta.read()) as Float32Array);
    },
  };
}

/** @throws InvalidArgumentError for what cannot be; what is not read is said. */
function checkSettings({ training }: ExperimentConfig, warn: (text: string) => void): void {
  if (training.mode !== 'lora') {
    throw new InvalidArgumentError('training.mode', `Wan is trained in mode lora, got ${training.mode}`);
  }
  if (!training.custom_settings.load_tensors) {
    throw new InvalidArgumentError(
      'training.custom_settings.load_tensors',
      'Wan is trained on latents made before; run dwm encode, and set it to true',
    );
  }
  for (const [key, value] of Object.entries(LEFT_ALONE)) {
    const given = training[key as keyof typeof LEFT_ALONE];
    if (given !== value) {
      throw new InvalidArgumentError(
        `training.${key}`,
        `has no meaning for Wan; leave it at ${value}, got ${given}`,
      );
    }
  }
  const other = Object.entries(FIXED).filter(([key, value]) => training[key as keyof typeof FIXED] !== value);
  if (other.length > 0) {
    warn(
      `as in the original, Wan is trained with ${other.map(([key, value]) => `${key} ${value}`).join(', ')}, whatever the experiment says`,
    );
  }
}

/** The two files of a run of ours or the original's. */
async function readStart(path: string, lora: ReturnType<typeof wanLoraTrainable>) {
  const folder = await openDirectory(path);
  const updates = await openTensorFile(await openPath(join(path, WAN_LORA_FILE)));
  const whole = (await folder.exists(NON_LORA_FILE))
    ? await openTensorFile(await openPath(join(path, NON_LORA_FILE)))
    : undefined;
  try {
    return {
      theta: await readWanLora(lora.layout, updates, whole),
      idle: await readWanLora(lora.idle.layout, updates, whole),
    };
  } finally {
    await updates.close();
    await whole?.close();
  }
}

/** Where kohya's short hash begins, and of how many bytes of the file it is. */
const LEGACY = { begin: 0x100000, length: 0x10000 };

/** What kohya's tools know a file by: hashes of its numbers, and of a stretch of it as it is without them. */
function kohyaHashes(tensors: ReadonlyMap<string, SavedTensor>): Record<string, string> {
  const { head, order } = layoutSafetensors(tensors);
  const whole = createHash('sha256');
  const stretch = createHash('sha256');
  let at = head.length;
  stretch.update(head.subarray(LEGACY.begin, LEGACY.begin + LEGACY.length));
  for (const { name } of order) {
    const { data } = tensors.get(name)!;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    whole.update(bytes);
    const [from, to] = [LEGACY.begin - at, LEGACY.begin + LEGACY.length - at];
    if (to > 0 && from < bytes.length) stretch.update(bytes.subarray(Math.max(0, from), to));
    at += bytes.length;
  }
  return { sshs_model_hash: whole.digest('hex'), sshs_legacy_hash: stretch.digest('hex').slice(0, 8) };
}
