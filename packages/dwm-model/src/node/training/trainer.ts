/**
 * A training run: clips in, checkpoints out. Everything that a step does follows from the seed, the step and
 * the weights before it, so a run that was stopped, killed or lost its device goes on from its last checkpoint
 * as if nothing had happened.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Device,
  DeviceLostError,
  type DeviceTensor,
  DwmError,
  InvalidArgumentError,
  InvalidFileError,
} from '@dwm/core-tensor';
import { openDirectory, writeFileAtomic } from '@dwm/core-tensor/node';
import { loadTransformer } from '../../pipeline/load-transformer.ts';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import { fromConfig } from '../../schedulers/index.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { type Batch, type BatchRules, batchSpecs, makeBatch } from '../../training/data/batch.ts';
import { MixedSampler } from '../../training/data/sampler.ts';
import { firstNotFinite } from '../../training/debug-nan.ts';
import { applyTrained, emptyParameters, startFromLora, weightFiles } from '../../training/export.ts';
import { lrFactor } from '../../training/learning-rate.ts';
import { type LossPoint, lossPlot } from '../../training/loss-plot.ts';
import { dwmObjective } from '../../training/objective.ts';
import { type LossFunction, NotFiniteError, TrainStep } from '../../training/train-step.ts';
import { fullTrainable, loraTrainable, type Trainable } from '../../training/trainable.ts';
import type { TransformerConfig } from '../../transformer/index.ts';
import { readVaeConfig } from '../../vae/index.ts';
import { readJson } from '../../weights/config.ts';
import { LORA_FILE } from '../../weights/lora.ts';
import type { Parameters } from '../../weights/parameters.ts';
import { listCheckpoints, readPacked, readState, saveCheckpoint, type TrainingState } from './checkpoint.ts';
import { readDataset, type Sample } from './dataset.ts';
import { type ReadClip, TrainingEncoder } from './encoder.ts';
import { EventLog } from './event-log.ts';
import { ExampleLoader } from './example-loader.ts';
import { Prefetch } from './prefetch.ts';

export type TrainEvent =
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'loading'; readonly part: string; readonly done: number; readonly total: number }
  | {
      readonly kind: 'step';
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly norm: number;
      readonly lr: number;
      readonly samplesPerSecond: number;
      readonly etaSeconds: number;
    }
  | { readonly kind: 'checkpoint'; readonly path: string; readonly step: number };

export interface TrainOptions {
  readonly config: ExperimentConfig;
  /** `latest`, a checkpoint, or a folder of LoRA files to start from. */
  readonly resume?: string;
  /** On a loss that is not finite, look for the tensor that went bad first. */
  readonly debugNan?: boolean;
  /** When aborted, the step under way is finished and saved, and the run returns. */
  readonly signal?: AbortSignal;
  readonly openDevice: () => Promise<Device>;
  readonly readClip: ReadClip;
  /** Makes and writes validation videos. */
  readonly validate?: (pipeline: DwmPipeline, samples: readonly Sample[], step: number) => Promise<void>;
  readonly onEvent?: (event: TrainEvent) => void;
}

export interface TrainResult {
  readonly step: number;
  readonly stopped: boolean;
  readonly checkpoint: string | undefined;
  readonly losses: readonly LossPoint[];
}

/** Device losses in a row, without a checkpoint between, after which a run gives up. */
const MAX_LOSSES = 3;

/**
 * Trains as the experiment says, until its last step or until `signal`.
 * @throws InvalidFileError or InvalidArgumentError for what is wrong with the experiment or its files, and
 *   NotFiniteError when the loss is no longer a number; the last checkpoint is then as it was.
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const report = options.onEvent ?? (() => {});
  let { resume } = options;
  for (let losses = 0; ; ) {
    const session = await Session.open({ ...options, resume }, report);
    const { saved } = session;
    try {
      return await session.run();
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      losses = session.saved === saved ? losses + 1 : 1;
      if (losses >= MAX_LOSSES) throw error;
      report({ kind: 'warning', text: `${error.message}; going on from the last checkpoint` });
      if (session.saved) resume = session.saved;
    } finally {
      await session.destroy();
    }
  }
}

/** Video size, and that of its latents. */
export function trainingSize({ data }: ExperimentConfig) {
  const one = (name: 'height_buckets' | 'width_buckets' | 'frame_buckets') => {
    const [value, ...more] = data[name];
    if (value !== undefined && more.length === 0) return value;
    throw new InvalidArgumentError(`data.${name}`, `expected one size for all clips, got [${data[name]}]`);
  };
  const size = { frames: one('frame_buckets'), height: one('height_buckets'), width: one('width_buckets') };
  if ((size.frames - 1) % 4 !== 0) {
    throw new InvalidArgumentError('data.frame_buckets', `expected 4k + 1 frames, got ${size.frames}`);
  }
  for (const name of ['height', 'width'] as const) {
    if (size[name] % 16 !== 0)
      throw new InvalidArgumentError(`data.${name}_buckets`, `expected a multiple of 16, got ${size[name]}`);
  }
  const latent = { frames: (size.frames - 1) / 4 + 1, height: size.height / 8, width: size.width / 8 };
  return { size, latent };
}

/** Everything of a run that lives on one device. */
class Session {
  /** The last checkpoint, read or written. */
  saved: string | undefined;
  readonly #options: TrainOptions;
  readonly #report: (event: TrainEvent) => void;
  readonly #device: Device;
  readonly #base: Parameters;
  readonly #trainable: Trainable;
  readonly #step: TrainStep<ReturnType<typeof batchSpecs>>;
  readonly #loss: LossFunction<ReturnType<typeof batchSpecs>>;
  readonly #batches: Prefetch<Batch[]>;
  readonly #pipeline: () => Promise<DwmPipeline>;
  readonly #current: Parameters;
  readonly #validation: readonly Sample[];
  readonly #configJson: unknown;
  readonly #points: LossPoint[];
  #done: number;
  /** Samples seen. */
  #position: number;

  private constructor(parts: {
    options: TrainOptions;
    report: (event: TrainEvent) => void;
    device: Device;
    base: Parameters;
    trainable: Trainable;
    step: TrainStep<ReturnType<typeof batchSpecs>>;
    loss: LossFunction<ReturnType<typeof batchSpecs>>;
    batches: Prefetch<Batch[]>;
    pipeline: () => Promise<DwmPipeline>;
    current: Parameters;
    validation: readonly Sample[];
    configJson: unknown;
    start: { step: number; position: number; points: readonly LossPoint[]; path: string | undefined };
  }) {
    this.#options = parts.options;
    this.#report = parts.report;
    this.#device = parts.device;
    this.#base = parts.base;
    this.#trainable = parts.trainable;
    this.#step = parts.step;
    this.#loss = parts.loss;
    this.#batches = parts.batches;
    this.#pipeline = parts.pipeline;
    this.#current = parts.current;
    this.#validation = parts.validation;
    this.#configJson = parts.configJson;
    this.#points = [...parts.start.points];
    this.#done = parts.start.step;
    this.#position = parts.start.position;
    this.saved = parts.start.path;
  }

  static async open(options: TrainOptions, report: (event: TrainEvent) => void): Promise<Session> {
    const { config } = options;
    const { training, data } = config;
    const settings = training.custom_settings;
    if (settings.random_flip) {
      throw new InvalidArgumentError(
        'training.custom_settings.random_flip',
        'is not supported: a flipped clip has its hands exchanged; set it to null',
      );
    }
    const { size, latent } = trainingSize(config);
    const datasets: Sample[][] = [];
    for (const { path } of data.dataset_file) datasets.push(await readDataset(path, data));
    const validation: Sample[] = [];
    for (const path of data.validation_set) validation.push(...(await readDataset(path, data)));
    const start = await findStart(options.resume ?? training.resume_from_checkpoint, config);

    const model = config.model.base_model_name_or_path;
    const folder = await openDirectory(model);
    const vae = await readVaeConfig({
      name: `${model}/vae`,
      open: (path) => folder.open(`vae/${path}`),
      exists: (path) => folder.exists(`vae/${path}`),
    });
    const schedulerFile = await readJson(folder, 'scheduler/scheduler_config.json');
    const { alphasCumprod } = fromConfig(schedulerFile.json, schedulerFile.file);
    if (!alphasCumprod) {
      throw new InvalidFileError(
        schedulerFile.file,
        'is a flow-matching scheduler; training needs diffusion',
      );
    }

    const device = await options.openDevice();
    try {
      const loading = (part: string, done: number, total: number) =>
        report({ kind: 'loading', part, done, total });
      const loaded = await loadTransformer(device, folder, undefined, (done, total) =>
        loading('transformer', done, total),
      );
      const base = loaded.parameters;
      const trainable = await trainableOf(config, base, start?.kind === 'lora' ? start.path : undefined);
      const current = emptyParameters();
      let pipeline: Promise<DwmPipeline> | undefined;
      const openPipeline = () => {
        pipeline ??= DwmPipeline.load(device, folder, {
          transformer: { config: loaded.config, parameters: current },
          onProgress: loading,
        });
        return pipeline;
      };
      const loader = new ExampleLoader({
        encoder: new TrainingEncoder({
          model,
          size,
          tiling: settings.enable_tiling,
          readClip: options.readClip,
          pipeline: openPipeline,
        }),
        cache: join(config.experiment.output_dir, 'cache'),
        size: latent,
        textDim: loaded.config.text_embed_dim,
        hasTextEncoder: await folder.exists('text_encoder/config.json'),
        loadTensors: settings.load_tensors,
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
      const textLength = (await loader.text(datasets[0][0])).length / loaded.config.text_embed_dim;
      const loss = lossOf(
        loaded.config,
        rules,
        training.batch_size,
        textLength,
        settings.gradient_checkpointing,
      );
      const step = await TrainStep.create(device, trainable, loss, {
        beta1: training.beta1,
        beta2: training.beta2,
        eps: training.epsilon,
        weightDecay: training.weight_decay,
        maxGradNorm: training.max_grad_norm,
      });
      if (start?.kind === 'checkpoint') await restore(step, start, trainable, report, config);
      const done = start?.kind === 'checkpoint' ? start.state : { step: 0, position: 0, points: [] };

      const sampler = new MixedSampler(
        training.seed,
        data.dataset_file.map(({ weight }, i) => ({ count: datasets[i].length, weight })),
      );
      const perStep = training.batch_size * training.gradient_accumulation_steps;
      const load = async (index: number): Promise<Batch[]> => {
        const batches: Batch[] = [];
        for (let k = 0; k < training.gradient_accumulation_steps; k++) {
          const first = done.position + (index - done.step) * perStep + k * training.batch_size;
          const examples = [];
          for (let i = 0; i < training.batch_size; i++) {
            const { dataset, clip } = sampler.at(first + i);
            examples.push(await loader.load(datasets[dataset][clip]));
          }
          batches.push(makeBatch(examples, first, rules));
        }
        return batches;
      };
      const shown = Math.min(data.num_validation_videos, data.max_validation_videos);
      return new Session({
        options,
        report,
        device,
        base,
        trainable,
        step,
        loss,
        batches: new Prefetch(done.step, 2, load),
        pipeline: openPipeline,
        current,
        validation: validation.slice(0, shown),
        configJson: {
          ...((await readJson(folder, 'transformer/config.json')).json as object),
          in_channels: loaded.config.in_channels,
        },
        start: {
          step: done.step,
          position: done.position,
          points: done.points,
          path: start?.kind === 'checkpoint' ? start.path : undefined,
        },
      });
    } catch (error) {
      device.destroy();
      throw error;
    }
  }

  async run(): Promise<TrainResult> {
    const { config, signal } = this.#options;
    const { training, data, logging, experiment } = config;
    const { checkpointing_steps: interval } = training.custom_settings;
    const perStep = training.batch_size * training.gradient_accumulation_steps;
    const log = await EventLog.open(join(experiment.output_dir, 'logs'));
    const last = training.max_train_steps;
    let sinceSave: number[] = [];
    const begun = { time: performance.now(), step: this.#done };
    try {
      while (this.#done < last && !signal?.aborted) {
        const batches = await this.#batches.take();
        const step = this.#done + 1;
        const lr =
          training.learning_rate *
          lrFactor(training.lr_scheduler, this.#done, {
            warmupSteps: training.lr_warmup_steps,
            totalSteps: last,
            cycles: training.lr_num_cycles,
          });
        const { loss, norm } = await this.#checked(batches, step, lr);
        this.#done = step;
        this.#position += perStep;
        sinceSave.push(loss);
        const pace = (step - begun.step) / ((performance.now() - begun.time) / 1000);
        this.#report({
          kind: 'step',
          step,
          steps: last,
          loss,
          norm,
          lr,
          samplesPerSecond: pace * perStep,
          etaSeconds: (last - step) / pace,
        });
        if (step % logging.log_steps === 0 || step === last || step === 1) {
          this.#points.push({ step, loss });
          await log.scalars(step, { loss, lr, grad_norm: norm, samples_per_second: pace * perStep });
          await this.#plot();
        }
        if (step % interval === 0 || step === last || signal?.aborted) {
          await this.#save(sinceSave);
          sinceSave = [];
        }
        if (step === data.init_validation_steps || step % data.validation_steps === 0)
          await this.#validate(step);
      }
      // Aborted while a batch was loading: what was done since the last checkpoint is saved too.
      if (sinceSave.length > 0) await this.#save(sinceSave);
    } finally {
      await log.close();
    }
    return { step: this.#done, stopped: this.#done < last, checkpoint: this.saved, losses: this.#points };
  }

  async destroy(): Promise<void> {
    this.#device.destroy();
    await this.#batches.settle();
  }

  async #checked(batches: readonly Batch[], step: number, lr: number) {
    try {
      return await this.#step.run(batches, step, lr);
    } catch (error) {
      if (!(error instanceof NotFiniteError) || !this.#options.debugNan) throw error;
      for (const batch of batches.slice(error.batch ?? 0)) {
        const found = await firstNotFinite(
          this.#device,
          this.#trainable,
          this.#loss,
          batch,
          this.#step.theta,
        );
        if (found)
          throw new DwmError('not-finite', `${error.message}; the first bad tensor is ${found}`, {
            ...error.details,
            tensor: found,
          });
      }
      throw error;
    }
  }

  async #plot(): Promise<void> {
    const { output_dir, name } = this.#options.config.experiment;
    await writeFileAtomic(join(output_dir, 'loss.svg'), [
      Buffer.from(lossPlot(this.#points, `${name}: loss`)),
    ]);
  }

  async #save(losses: readonly number[]): Promise<void> {
    const { config } = this.#options;
    const { training } = config;
    const packed = await this.#step.state();
    const { layout } = this.#trainable;
    const state: TrainingState = {
      step: this.#done,
      position: this.#position,
      seed: training.seed,
      meanLoss: losses.reduce((sum, loss) => sum + loss, 0) / Math.max(1, losses.length),
      points: this.#points,
      layout: shapesOf(this.#trainable),
      config,
    };
    const texts = new Map<string, string>();
    if (training.mode === 'full') {
      texts.set('transformer/config.json', `${JSON.stringify(this.#configJson, undefined, 2)}\n`);
    }
    this.saved = await saveCheckpoint(
      config.experiment.output_dir,
      state,
      packed,
      weightFiles(training.mode, layout, packed.theta),
      texts,
      training.custom_settings.checkpoints_total_limit,
    );
    this.#report({ kind: 'checkpoint', path: this.saved, step: this.#done });
  }

  async #validate(step: number): Promise<void> {
    const { validate } = this.#options;
    if (!validate || this.#validation.length === 0) return;
    const theta: DeviceTensor = this.#step.theta;
    await this.#batches.settle();
    await applyTrained(this.#device, this.#base, this.#trainable, theta, this.#current);
    await validate(await this.#pipeline(), this.#validation, step);
  }
}

const shapesOf = (trainable: Trainable): Record<string, readonly number[]> =>
  Object.fromEntries([...trainable.layout.parts].map(([name, { shape }]) => [name, shape]));

function lossOf(
  config: TransformerConfig,
  rules: BatchRules,
  batchSize: number,
  tokens: number,
  recompute: boolean,
): LossFunction<ReturnType<typeof batchSpecs>> {
  return {
    inputs: batchSpecs(batchSize, rules, tokens),
    loss: (weights, inputs, tap) =>
      dwmObjective(config, weights, rules.scalingFactor, inputs, { recompute, ...(tap && { tap }) }).loss,
  };
}

async function trainableOf(
  { training }: ExperimentConfig,
  base: Parameters,
  loraFolder: string | undefined,
): Promise<Trainable> {
  if (training.mode === 'full') return fullTrainable(base);
  const trainable = loraTrainable(base, {
    rank: training.lora_rank,
    alpha: training.lora_alpha,
    targetModules: training.lora_target_modules,
    trainablePatterns: training.trainable_parameter_patterns,
    seed: training.seed,
  });
  if (!loraFolder) return trainable;
  const theta = await startFromLora(await openDirectory(loraFolder), trainable.layout);
  return { ...trainable, initial: async () => theta };
}

type Start =
  | { readonly kind: 'checkpoint'; readonly path: string; readonly state: TrainingState }
  | { readonly kind: 'lora'; readonly path: string };

/** @param given `latest`, a checkpoint, a folder of LoRA files, or nothing. */
async function findStart(given: string | null, config: ExperimentConfig): Promise<Start | undefined> {
  if (!given) return undefined;
  if (given === 'latest') {
    const found = (await listCheckpoints(config.experiment.output_dir)).at(-1);
    return found && { kind: 'checkpoint', path: found.path, state: await readState(found.path) };
  }
  const has = async (file: string) => (await stat(join(given, file)).catch(() => undefined)) !== undefined;
  if (await has('state.json')) return { kind: 'checkpoint', path: given, state: await readState(given) };
  if (config.training.mode === 'lora' && (await has(LORA_FILE))) return { kind: 'lora', path: given };
  throw new InvalidFileError(
    given,
    `is neither a checkpoint (state.json) nor a folder of LoRA weights (${LORA_FILE}); give one of them, or latest`,
  );
}

async function restore(
  step: TrainStep<ReturnType<typeof batchSpecs>>,
  { path, state }: Start & { kind: 'checkpoint' },
  trainable: Trainable,
  report: (event: TrainEvent) => void,
  { training }: ExperimentConfig,
): Promise<void> {
  if (JSON.stringify(state.layout) !== JSON.stringify(shapesOf(trainable))) {
    throw new InvalidFileError(
      path,
      'holds other trained weights than this experiment; check mode, lora_rank, lora_target_modules and the base model',
    );
  }
  step.restore(await readPacked(path, trainable.layout.length));
  report({ kind: 'note', text: `going on after step ${state.step} from ${path}` });
  if (state.seed !== training.seed) {
    report({ kind: 'warning', text: `seed ${training.seed} differs from ${state.seed} of the run so far` });
  }
}
