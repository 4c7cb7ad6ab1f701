/**
 * Modes `lora` and `sft` on a Wan model, as the original trains it: latents and embeddings that dwm encode made, or clips and
 * captions as they are; updates beside every linear layer, or every weight; and the optimizer's numbers as its code fixes them.
 */
import { type Device, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import type { ModelFamily } from '../../families/family.ts';
import { Symbols, storedAs } from '../../families/symbols.ts';
import type { Sample } from '../../node/training/dataset.ts';
import type { ModelFiles } from '../../node/training/model-folder.ts';
import { checkBuckets, trainingSize } from '../../node/training/size.ts';
import type {
  Inputs,
  PlanContext,
  PlannedTask,
  TaskContext,
  TrainingTask,
} from '../../node/training/task.ts';
import type { DwmPipeline } from '../../pipeline/pipeline.ts';
import { FlowMatchEulerDiscreteScheduler } from '../../schedulers/flow-euler.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import type { Turn } from '../../training/data/batch-order.ts';
import { applyTrained, emptyParameters } from '../../training/export.ts';
import type { LossFunction } from '../../training/train-step.ts';
import { fullTrainable, type Trainable } from '../../training/trainable.ts';
import type { LatentSize } from '../../vae/index.ts';
import { readJson } from '../../weights/config.ts';
import type { Parameters } from '../../weights/parameters.ts';
import { requireTrainable } from '../../weights/quantized.ts';
import { dwmChannels } from '../family.ts';
import { readWanTransformer } from '../files.ts';
import type { WanConfig } from '../transformer/config.ts';
import { wanStoredName, withHeaders } from '../transformer/load.ts';
import { wanParameters } from '../transformer/parameters.ts';
import { makeWanBatch, type WanBatchRules, type WanExample, wanBatchSpecs } from './batch.ts';
import { encodeWanClips } from './clips.ts';
import { startFromWanLora, WAN_LORA_FILE, wanLoraFiles, wanWholeFiles } from './export.ts';
import { type WanObjectiveInputs, wanObjective } from './objective.ts';
import { isReached, type WanLora, wanLoraTrainable } from './trainable.ts';

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
  const { config, device, folder, family, order, shows, loading } = context;
  const { training } = config;
  checkSettings(config, context.warn);
  const scheduler = await schedulerOf(context);
  await checkInputs(context);

  const loaded = await family.loadTransformer(device, folder, undefined, (done, total) =>
    loading('transformer', done, total),
  );
  const network = {
    ...(loaded.config as WanConfig),
    ...(config.pipeline.fps !== undefined && { fps: config.pipeline.fps }),
  };
  const size = await latentOf(context, network);
  const base = loaded.parameters;
  requireTrainable(base, folder.name);
  const { trainable, clippedLength, files } =
    training.mode === 'sft' ? await allTrained(context, base, network) : await updatesTrained(context, base);
  const example = await exampleReader(context, network);
  const rules: WanBatchRules = {
    ...{ seed: training.seed, size, config: network },
    handDropout: training.hand_dropout_prob,
    timesteps: scheduler.trainTimesteps,
    sigmas: scheduler.trainSigmas,
    range: training.timestep_range,
  };

  const current = emptyParameters();
  let pipeline: Promise<DwmPipeline> | undefined;
  return {
    trainable,
    fixed: FIXED,
    ...(clippedLength !== undefined && { clippedLength }),
    loss: lossOf(config, rules),

    async batch(position) {
      const examples: WanExample[] = [];
      for (let i = 0; i < training.batch_size; i++)
        examples.push(await example(order.at(position + i), position + i));
      return makeWanBatch(examples, position, rules);
    },

    files,

    async validate(theta, step, shown) {
      if (!shows.validate || shown.length === 0) return {};
      await applyTrained(device, base, trainable, theta, current);
      pipeline ??= context.openPipeline({ config: network, parameters: current });
      await shows.validate(await pipeline, shown, step);
      return {};
    },

    async finish(theta) {
      return files((await theta.read()) as Float32Array);
    },
  };
}

/** Of the latents. @throws InvalidArgumentError for a size that the network cannot cut into its patches. */
async function latentOf(
  { config, folder, family }: PlanContext,
  { patch }: Pick<WanConfig, 'patch'>,
): Promise<LatentSize> {
  const size = trainingSize(config);
  const latent = await family.latentSize(folder, size);
  checkBuckets(size, patch * (size.height / latent.height));
  return latent;
}

/** @throws InvalidFileError for a scheduler that Wan does not train with. */
async function schedulerOf({ folder, family }: PlanContext): Promise<FlowMatchEulerDiscreteScheduler> {
  const scheduler = await family.loadScheduler(folder);
  if (scheduler instanceof FlowMatchEulerDiscreteScheduler) return scheduler;
  throw new InvalidFileError(
    `${folder.name}/scheduler/scheduler_config.json`,
    `_class_name: Wan trains with FlowMatchEulerDiscreteScheduler, got ${scheduler.className}`,
    { field: '_class_name' },
  );
}

/** The objective on batches of one size. */
function lossOf(
  { training }: ExperimentConfig,
  rules: Pick<WanBatchRules, 'config' | 'size'>,
): LossFunction<Inputs> {
  return {
    inputs: wanBatchSpecs(training.batch_size, rules),
    loss: (weights, inputs, tap) =>
      wanObjective(rules.config, weights, inputs as unknown as WanObjectiveInputs, {
        recompute: training.custom_settings.gradient_checkpointing,
        clipFeatures: training.clip_features,
        ...(tap && { tap }),
      }).loss,
  };
}

/** The low-rank updates of mode `lora`. */
const updatesOf = ({ training }: ExperimentConfig, base: Parameters): WanLora =>
  wanLoraTrainable(base, {
    rank: training.lora_rank,
    alpha: training.lora_alpha,
    trainablePatterns: training.trainable_parameter_patterns,
    clipFeatures: training.clip_features,
    seed: training.seed,
  });

/** A task from configurations and headers; @throws as `wanTask` for what these tell. */
export async function planWanTask(context: PlanContext): Promise<PlannedTask> {
  const { config, folder } = context;
  const { training } = config;
  checkSettings(config, () => {});
  await schedulerOf(context);
  const { path, config: given } = await readWanTransformer(folder);
  const read = await withHeaders(given, folder, path);
  const network = { ...read, inChannels: Math.max(read.inChannels, dwmChannels(read.outChannels)) };
  const stored = await storedAs(folder, `${path}diffusion_pytorch_model`, { stored: wanStoredName(read) });
  const whole = new Symbols(stored(wanParameters(network)));
  requireTrainable(whole, folder.name);
  const size = await latentOf(context, network);
  return {
    weightBytes: whole.bytes,
    blocks: network.layers,
    step(blocks) {
      const part = { ...network, layers: blocks };
      const base = new Symbols(stored(wanParameters(part)));
      const loss = lossOf(config, { config: part, size });
      if (training.mode === 'sft')
        return { fixed: FIXED, loss, trainable: fullTrainable(base, isReached(training.clip_features)) };
      const trainable = updatesOf(config, base);
      return { fixed: FIXED, loss, trainable, clippedLength: trainable.lowRankLength };
    },
  };
}

interface Trained {
  readonly trainable: Trainable;
  readonly clippedLength?: number;
  readonly files: (theta: Float32Array) => ModelFiles;
}

/** Mode `lora`. */
async function updatesTrained({ config, loraStart, warn }: TaskContext, base: Parameters): Promise<Trained> {
  const { training } = config;
  const lora = updatesOf(config, base);
  const start =
    loraStart && (await startFromWanLora(loraStart, lora, training.lora_alpha / training.lora_rank));
  if (start?.note) warn(start.note);
  const idle = start?.idle ?? (await lora.idle.initial());
  const half = training.custom_settings.mixed_precision === 'bf16';
  return {
    trainable: start ? { ...lora, initial: async () => start.theta } : lora,
    clippedLength: lora.lowRankLength,
    files: (theta) => ({
      weights: wanLoraFiles(
        [
          { layout: lora.layout, theta },
          { layout: lora.idle.layout, theta: idle },
        ],
        training.lora_alpha,
        half,
      ),
      texts: new Map(),
      kohyaHashed: new Set([WAN_LORA_FILE]),
    }),
  };
}

/** Mode `sft`: every weight that the objective reaches. */
async function allTrained(
  { config: { training }, folder }: TaskContext,
  base: Parameters,
  network: WanConfig,
): Promise<Trained> {
  const reached = isReached(training.clip_features);
  const trainable = fullTrainable(base, reached);
  const idle = fullTrainable(base, (name) => !reached(name));
  const idleValues = await idle.initial();
  const { path } = await readWanTransformer(folder);
  const { json } = await readJson(folder, `${path}config.json`);
  const key = 'in_channels' in (json as object) ? 'in_channels' : 'in_dim';
  const half = training.custom_settings.mixed_precision === 'bf16';
  return {
    trainable,
    files: (theta) => ({
      weights: wanWholeFiles(
        [
          { layout: trainable.layout, theta },
          { layout: idle.layout, theta: idleValues },
        ],
        half,
      ),
      texts: new Map([
        [
          'transformer/config.json',
          `${JSON.stringify({ ...(json as object), [key]: network.inChannels }, undefined, 2)}\n`,
        ],
      ]),
    }),
  };
}

/** @throws InvalidFileError naming the first file that some sample lacks. */
async function checkInputs({ config, files, folder, family }: TaskContext): Promise<void> {
  const { load_tensors: encoded } = config.training.custom_settings;
  if (encoded) {
    await files.check(
      ({ latents, promptEmbeds }) => ({
        encoded: [latents.video, latents.static, latents.hand, promptEmbeds],
      }),
      'run dwm encode first, or set training.custom_settings.load_tensors=false',
    );
    return;
  }
  const clips = (sample: Sample) => ({ videos: [sample.video, sample.static, sample.hand] });
  await files.check(clips, 'add it, or take the clip out of its list');
  if (await family.hasText(folder)) {
    await files.check(({ prompt }) => ({ files: [prompt] }), 'write the caption of the clip into it');
  } else {
    const why = 'the base model has no text encoder, so embeddings must be given';
    await files.check(({ promptEmbeds }) => ({ encoded: [promptEmbeds] }), why);
  }
}

type ReadExample = (turn: Turn<Sample>, position: number) => Promise<WanExample>;

/** Samples from latents and embeddings that are there, or from clips and captions; networks for these stay loaded. */
async function exampleReader(context: TaskContext, network: WanConfig): Promise<ReadExample> {
  const { config, files, folder, family, device, readClip, loading } = context;
  const { seed, custom_settings: settings } = config.training;
  const size = trainingSize(config);
  const embeds = (caption: Sample) => files.embeds(caption.promptEmbeds, network.textDim);
  if (settings.load_tensors) {
    const latent = await family.latentSize(folder, size);
    return async ({ clip, caption }) => {
      const [video, still, hand] = await Promise.all(
        [clip.latents.video, clip.latents.static, clip.latents.hand].map((path) =>
          files.latents(path, latent),
        ),
      );
      return { video, static: still, hand, text: await embeds(caption) };
    };
  }
  const vae = await family.loadVae(device, folder, {
    precision: 'f32',
    onProgress: (done, total) => loading('vae', done, total),
  });
  const text = await captionReader(family, device, folder, network, loading);
  return async ({ clip, caption }, position) => ({
    ...(await encodeWanClips(clip, position, { seed, size, vae, readClip })),
    text: text ? await text(await files.caption(caption.prompt)) : await embeds(caption),
  });
}

/** Embeddings of captions, each encoded once; nothing where the model has no text encoder. */
async function captionReader(
  family: ModelFamily,
  device: Device,
  folder: ModelFolder,
  { textLength }: WanConfig,
  loading: TaskContext['loading'],
): Promise<((caption: string) => Promise<Float32Array>) | undefined> {
  const reader = await family.loadText(device, folder, (done, total) => loading('text encoder', done, total));
  if (!reader) return undefined;
  const known = new Map<string, Promise<Float32Array>>();
  return (caption) => {
    const rows = Math.min(textLength, reader.countTokens(caption));
    const embeds =
      known.get(caption) ??
      reader.encode([caption], textLength, 'f32').then((values) => values.slice(0, rows * reader.width));
    known.set(caption, embeds);
    return embeds;
  };
}

/** @throws InvalidArgumentError for what cannot be; what is not read is said. */
function checkSettings({ training }: ExperimentConfig, warn: (text: string) => void): void {
  if (training.mode !== 'lora' && training.mode !== 'sft') {
    throw new InvalidArgumentError(
      'training.mode',
      `Wan is trained in mode lora or sft, got ${training.mode}`,
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
