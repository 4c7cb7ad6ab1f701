/**
 * A training run: batches in, checkpoints out. Everything that a step does follows from the seed, the step and
 * the weights before it, so a run that was stopped, killed or lost its device goes on from its last checkpoint
 * as if nothing had happened.
 */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Device,
  DeviceLostError,
  DwmError,
  elementCount,
  InvalidArgumentError,
  InvalidFileError,
} from '@dwm/core-tensor';
import {
  checkOutput,
  isDiskFull,
  openDirectory,
  WriteError,
  withOutput,
  writeFileAtomic,
  writeProblem,
} from '@dwm/core-tensor/node';
import { checkPipelineType, familyOf, type ModelFamily } from '../../families/index.ts';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { firstNotFinite } from '../../training/debug-nan.ts';
import { lrFactor } from '../../training/learning-rate.ts';
import { type LossPoint, lossPlot } from '../../training/loss-plot.ts';
import { gatherNumbers, type Peers, type WireOptions } from '../../training/peers.ts';
import { NotFiniteError, TrainStep } from '../../training/train-step.ts';
import type { Trainable } from '../../training/trainable.ts';
import { hasLora, LORA_FILES } from '../../weights/lora.ts';
import {
  listCheckpoints,
  readPacked,
  readState,
  saveCheckpoint,
  sweepCheckpoints,
  type TrainingState,
} from './checkpoint.ts';
import { checkFiles, readDataset, readDatasets, type Sample } from './dataset.ts';
import { encodedFile, noEncodedFile, readEmbeds, readLatents } from './encoded.ts';
import { type ReadClip, readCaption } from './encoder.ts';
import { EventLog } from './event-log.ts';
import { initializeModel, linkFiles, writeFiles, writeModel } from './model-folder.ts';
import { allSamples, batchOrder } from './order.ts';
import { planTraining, type TrainingPlan } from './plan-training.ts';
import { Prefetch } from './prefetch.ts';
import { stepOptions } from './step-options.ts';
import type { Batch, Inputs, Shows, TrainingFiles, TrainingTask } from './task.ts';
import { trainingOf } from './trainings.ts';

/** What a run tells while it goes. */
export type TrainEvent =
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'plan'; readonly plan: TrainingPlan }
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

/** Options of `train`. */
export interface TrainOptions extends Shows {
  readonly config: ExperimentConfig;
  /** `latest`, a checkpoint, or a folder of LoRA files to start from. */
  readonly resume?: string;
  /** The file that the experiment was read from: a copy goes into the output folder, where inference finds it. */
  readonly experimentFile?: string;
  /** Writes a checkpoint before the first step. */
  readonly saveInitial?: boolean;
  /** On a loss that is not finite, look for the tensor that went bad first. */
  readonly debugNan?: boolean;
  /** When aborted, the step under way is finished and saved, and the run returns. */
  readonly signal?: AbortSignal;
  /** Processes that share the micro-batches of each step. Rank 0 writes; all read. */
  readonly peers?: Peers;
  readonly wire?: WireOptions;
  readonly openDevice: () => Promise<Device>;
  readonly readClip: ReadClip;
  readonly onEvent?: (event: TrainEvent) => void;
}

/** Where a run ended. */
export interface TrainResult {
  readonly step: number;
  readonly stopped: boolean;
  readonly checkpoint: string | undefined;
  /** Folder of the trained model, where the mode trains a whole network and the run is through. */
  readonly model: string | undefined;
  readonly losses: readonly LossPoint[];
}

/** The place of a process that trains by itself. */
const ALONE: Pick<Peers, 'rank' | 'count'> = { rank: 0, count: 1 };

/** Time for the process whose micro-batch went bad to find out why, before the others end it. */
const OTHERS_LOOK_MS = 60_000;

/** Device losses in a row, without a checkpoint between, after which a run gives up. */
const MAX_LOSSES = 3;

/**
 * Trains as the experiment says, until its last step or until `signal`.
 * @throws InvalidFileError or InvalidArgumentError for what is wrong with the experiment or its files, and
 *   NotFiniteError when the loss is no longer a number; the last checkpoint is then as it was.
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { output_dir } = options.config.experiment;
  const { peers } = options;
  if (peers) checkShares(options.config.training, peers.count);
  // What rank 0 puts into the folder is there before the others look.
  if (peers && peers.rank !== 0) {
    await together(peers);
    const result = await trainOn(options);
    await together(peers);
    return result;
  }
  return withOutput(output_dir, {}, async () => {
    await sweepCheckpoints(output_dir);
    const { experimentFile: file } = options;
    if (file) await writeFileAtomic(join(output_dir, basename(file)), await readFile(file));
    const result = await trainOn(options);
    await together(peers);
    return result;
  });
}

/** Waits until every process is here. */
const together = (peers: Peers | undefined): Promise<unknown> | undefined =>
  peers && gatherNumbers(peers, [0]);

/** @throws InvalidArgumentError unless every process gets as many micro-batches. */
function checkShares(
  { gradient_accumulation_steps: steps, batch_size: size }: ExperimentConfig['training'],
  count: number,
): void {
  if (steps % count === 0) return;
  throw new InvalidArgumentError(
    'training.gradient_accumulation_steps',
    `${count} processes share the micro-batches of a step, expected a multiple of ${count}, got ${steps}; for ${steps} of ${size} samples on each, as the original has it: \`override: training.gradient_accumulation_steps=${steps * count}\``,
  );
}

async function trainOn(options: TrainOptions): Promise<TrainResult> {
  const report = options.onEvent ?? (() => {});
  let { resume } = options;
  for (let losses = 0; ; ) {
    const session = await Session.open({ ...options, resume }, report);
    if (options.peers?.rank === 0) await together(options.peers);
    const { saved } = session;
    try {
      return await session.run();
    } catch (error) {
      if (isDiskFull(error)) throw diskFull(error, options.config.experiment.output_dir, session.saved);
      if (!(error instanceof DeviceLostError) || options.peers) throw error;
      losses = session.saved === saved ? losses + 1 : 1;
      if (losses >= MAX_LOSSES) throw error;
      report({ kind: 'warning', text: `${error.message}; going on from the last checkpoint` });
      if (session.saved) resume = session.saved;
    } finally {
      await session.destroy();
    }
  }
}

/** Says what there is to go on from. */
function diskFull(error: unknown, folder: string, saved: string | undefined): unknown {
  const kept = saved ? `${saved} is kept, \`resume: latest\` goes on from it` : 'there is no checkpoint yet';
  return error instanceof WriteError
    ? new WriteError('disk-full', `${error.message}; ${kept}`, { checkpoint: saved })
    : writeProblem(error, folder, kept);
}

/** Everything of a run that lives on one device. */
class Session {
  /** The last checkpoint, read or written. */
  saved: string | undefined;
  readonly #options: TrainOptions;
  readonly #report: (event: TrainEvent) => void;
  readonly #device: Device;
  readonly #model: string;
  readonly #task: TrainingTask;
  readonly #validation: readonly Sample[];
  /** The last validation: when, and of how many clips. */
  #validated: string | undefined;
  readonly #step: TrainStep<Inputs>;
  readonly #batches: Prefetch<Batch[]>;
  readonly #points: LossPoint[];
  #done: number;
  /** Samples seen. */
  #position: number;

  private constructor(parts: {
    options: TrainOptions;
    report: (event: TrainEvent) => void;
    device: Device;
    model: string;
    task: TrainingTask;
    validation: readonly Sample[];
    step: TrainStep<Inputs>;
    batches: Prefetch<Batch[]>;
    start: { step: number; position: number; points: readonly LossPoint[]; path: string | undefined };
  }) {
    this.#options = parts.options;
    this.#report = parts.report;
    this.#device = parts.device;
    this.#model = parts.model;
    this.#task = parts.task;
    this.#validation = parts.validation;
    this.#step = parts.step;
    this.#batches = parts.batches;
    this.#points = [...parts.start.points];
    this.#done = parts.start.step;
    this.#position = parts.start.position;
    this.saved = parts.start.path;
  }

  static async open(options: TrainOptions, report: (event: TrainEvent) => void): Promise<Session> {
    const { config } = options;
    const { training, data } = config;
    if (training.custom_settings.random_flip) {
      throw new InvalidArgumentError(
        'training.custom_settings.random_flip',
        'is not supported: a flipped clip has its hands exchanged; set it to false',
      );
    }
    const { datasets, matched } = await readDatasets(data);
    const validation: Sample[] = [];
    for (const path of data.validation_set) validation.push(...(await readDataset(path, data)));
    const start = await findStart(options.resume ?? training.resume_from_checkpoint, config);
    const model = await baseModel(config, report);

    const device = await options.openDevice();
    try {
      const folder = await openDirectory(model);
      const family = await familyOf(folder);
      checkPipelineType(family, model, config.pipeline.type, options.experimentFile);
      checkTrained(family, config);
      const { caps, decisions, memory } = device;
      const name = caps.adapter.description || caps.adapter.device;
      const target = { name, caps, decisions, budget: memory.limit - memory.allocated };
      report({ kind: 'plan', plan: await planTraining(config, folder, target) });
      const loading = (part: string, done: number, total: number) =>
        report({ kind: 'loading', part, done, total });
      const task = await trainingOf(family, model).openTask({
        ...{ config, device, model, folder, family, datasets, matched },
        order: batchOrder(config, datasets, matched),
        loraStart: start?.kind === 'lora' ? await openDirectory(start.path) : undefined,
        readClip: options.readClip,
        files: trainingFiles(allSamples(datasets, matched)),
        openPipeline: (transformer) => DwmPipeline.load(device, folder, { transformer, onProgress: loading }),
        shows: options,
        loading,
        warn: (text) => report({ kind: 'warning', text }),
      });
      const step = await TrainStep.create(device, task.trainable, task.loss, {
        ...stepOptions(config, task),
        ...(options.peers && { peers: options.peers, wire: options.wire }),
      });
      const stateBytes = Object.values(step.stateSpecs).reduce(
        (sum, { shape }) => sum + 4 * elementCount(shape),
        0,
      );
      await checkOutput(config.experiment.output_dir, stateBytes);
      if (start?.kind === 'checkpoint') await restore(step, start, task.trainable, report, config);
      const done = start?.kind === 'checkpoint' ? start.state : { step: 0, position: 0, points: [] };

      const perStep = training.batch_size * training.gradient_accumulation_steps;
      const load = async (index: number): Promise<Batch[]> => {
        const batches: Batch[] = [];
        const { rank, count } = options.peers ?? ALONE;
        for (let k = rank; k < training.gradient_accumulation_steps; k += count) {
          batches.push(
            await task.batch(done.position + (index - done.step) * perStep + k * training.batch_size),
          );
        }
        return batches;
      };
      return new Session({
        options,
        report,
        device,
        model,
        task,
        validation,
        step,
        batches: new Prefetch(done.step, 2, load),
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
    const log = this.#writes ? await EventLog.open(join(experiment.output_dir, 'logs')) : undefined;
    const last = training.max_train_steps;
    // Where others take part, all stop after the same step, so what they agreed on counts.
    let agreed = false;
    const isStopped = () => (this.#options.peers ? agreed : signal?.aborted === true);
    let sinceSave: number[] = [];
    const shown = Math.min(data.max_validation_videos, data.num_validation_videos);
    try {
      if (this.#options.saveInitial && this.#done === 0) await this.#save([]);
      if (this.#validation.length > 0 && this.#done < last && !isStopped()) {
        await log?.scalars(this.#done, await this.#validate(this.#done, shown));
      }
      const begun = { time: performance.now(), step: this.#done };
      while (this.#done < last && !isStopped()) {
        const batches = await this.#batches.take();
        const step = this.#done + 1;
        const lr =
          training.learning_rate *
          lrFactor(training.lr_scheduler, this.#done, {
            warmupSteps: training.lr_warmup_steps,
            totalSteps: last,
            cycles: training.lr_num_cycles,
            learningRate: training.learning_rate,
          });
        const { loss, norm, skipped, stop } = await this.#checked(batches, step, lr, signal?.aborted);
        agreed = stop;
        if (skipped) {
          const text = `step ${step}: a gradient left the range of f16; the step is left out, and the loss scaled by half of before`;
          this.#report({ kind: 'warning', text });
        }
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
          await log?.scalars(step, { loss, lr, grad_norm: norm, samples_per_second: pace * perStep });
          await this.#plot();
        }
        if ((interval > 0 && step % interval === 0) || step === last || isStopped()) {
          await this.#save(sinceSave);
          sinceSave = [];
        }
        if (data.validation_steps > 0 && step % data.validation_steps === 0)
          await log?.scalars(step, await this.#validate(step, data.num_validation_videos));
        if (step === last && this.#validation.length > 0)
          await log?.scalars(step, await this.#validate(step, Math.min(data.max_validation_videos, 4)));
      }
      // Aborted while a batch was loading: what was done since the last checkpoint is saved too.
      if (sinceSave.length > 0) await this.#save(sinceSave);
    } finally {
      await log?.close();
    }
    const stopped = this.#done < last;
    return {
      step: this.#done,
      stopped,
      checkpoint: this.saved,
      model: stopped ? undefined : await this.#finish(),
      losses: this.#points,
    };
  }

  async destroy(): Promise<void> {
    this.#device.destroy();
    await this.#batches.settle();
  }

  /** Of several processes, whether this is the one that writes. */
  get #writes(): boolean {
    return (this.#options.peers ?? ALONE).rank === 0;
  }

  async #checked(batches: readonly Batch[], step: number, lr: number, stop?: boolean) {
    try {
      return await this.#step.run(batches, step, lr, stop);
    } catch (error) {
      if (!(error instanceof NotFiniteError) || !this.#options.debugNan) throw error;
      // Micro-batches are dealt out in turn.
      const { rank, count } = this.#options.peers ?? ALONE;
      const bad = error.batch ?? 0;
      if (bad % count !== rank) await sleep(OTHERS_LOOK_MS);
      for (const batch of batches.slice(Math.floor(bad / count))) {
        const found = await firstNotFinite(
          this.#device,
          this.#task.trainable,
          this.#task.loss,
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
    if (!this.#writes) return;
    const { output_dir, name } = this.#options.config.experiment;
    await writeFileAtomic(join(output_dir, 'loss.svg'), [
      Buffer.from(lossPlot(this.#points, `${name}: loss`)),
    ]);
  }

  async #save(losses: readonly number[]): Promise<void> {
    if (!this.#writes) return;
    const { config } = this.#options;
    const { training } = config;
    const { tensors, lossScale } = await this.#step.state();
    const state: TrainingState = {
      step: this.#done,
      position: this.#position,
      seed: training.seed,
      meanLoss: losses.reduce((sum, loss) => sum + loss, 0) / Math.max(1, losses.length),
      points: this.#points,
      layout: shapesOf(this.#task.trainable),
      ...(lossScale && { lossScale }),
      config,
    };
    this.saved = await saveCheckpoint(
      config.experiment.output_dir,
      state,
      tensors,
      this.#task.files((tensors.ema ?? tensors.theta) as Float32Array),
      training.custom_settings.checkpoints_total_limit,
    );
    this.#report({ kind: 'checkpoint', path: this.saved, step: this.#done });
  }

  /** @returns what it measured, for the log. */
  async #validate(step: number, count: number): Promise<Record<string, number>> {
    if (!this.#writes) return {};
    const samples = this.#validation.slice(0, count);
    const now = `${step} ${samples.length}`;
    if (now === this.#validated) return {};
    this.#validated = now;
    await this.#batches.settle();
    const measured = await this.#task.validate(this.#step.weights, step, samples);
    const numbers = Object.entries(measured).map(([name, value]) => `${name} ${value.toPrecision(4)}`);
    if (numbers.length > 0)
      this.#report({ kind: 'note', text: `validation at step ${step}: ${numbers.join(', ')}` });
    return Object.fromEntries(Object.entries(measured).map(([name, value]) => [`validation/${name}`, value]));
  }

  /**
   * Writes what was trained into the output folder, as the original does: the two LoRA files, or `transformer/`. A whole
   * network comes as a model of its own as well, ready for use, in `model/`.
   */
  async #finish(): Promise<string | undefined> {
    await this.#batches.settle();
    if (!this.#writes) return undefined;
    const { experiment, training } = this.#options.config;
    const output = experiment.output_dir;
    const files = await this.#task.finish(this.#step.weights);
    if (training.mode === 'lora') {
      await writeFiles(output, files);
      return undefined;
    }
    const path = join(output, 'model');
    await writeModel(this.#model, path, files);
    if (training.mode === 'full') await linkFiles(path, output, files);
    this.#report({ kind: 'note', text: `the trained model is ${path}` });
    return path;
  }
}

/** Folder of the base model; from scratch, one made of its configs. */
async function baseModel(
  { model, experiment, training }: ExperimentConfig,
  report: (event: TrainEvent) => void,
): Promise<string> {
  const base = model.base_model_name_or_path;
  if (!model.from_scratch) return base;
  const made = join(experiment.output_dir, 'initial');
  const drawn = await initializeModel(base, made, training.seed);
  if (drawn.length > 0) report({ kind: 'note', text: `random weights for ${drawn.join(', ')}` });
  return made;
}

const ENCODE_FIRST = 'run dwm encode first';

function trainingFiles(samples: readonly Sample[]): TrainingFiles {
  const file = async (path: string) => {
    const found = await encodedFile(path);
    if (found) return found;
    throw noEncodedFile(path, ENCODE_FIRST);
  };
  return {
    check: (needs, hint) => checkFiles(samples, needs, hint),
    latents: async (path, size) => readLatents(await file(path), size),
    embeds: async (path, dim) => (await readEmbeds(await file(path), dim)).values,
    caption: readCaption,
  };
}

const shapesOf = (trainable: Trainable): Record<string, readonly number[]> =>
  Object.fromEntries([...trainable.layout.parts].map(([name, { shape }]) => [name, shape]));

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
  const folder = await openDirectory(given);
  if (await folder.exists('state.json'))
    return { kind: 'checkpoint', path: given, state: await readState(given) };
  if (config.training.mode === 'lora' && (await hasLora(folder))) return { kind: 'lora', path: given };
  throw new InvalidFileError(
    given,
    `is neither a checkpoint (state.json) nor a folder of LoRA weights (${LORA_FILES.join(', ')}); give one of them, or latest`,
  );
}

async function restore(
  step: TrainStep<Inputs>,
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
  const tensors = await readPacked(path, step.stateSpecs);
  step.restore({ tensors, lossScale: state.lossScale });
  report({ kind: 'note', text: `going on after step ${state.step} from ${path}` });
  if (state.seed !== training.seed) {
    report({ kind: 'warning', text: `seed ${training.seed} differs from ${state.seed} of the run so far` });
  }
}

/** @throws InvalidArgumentError for what clips are generated with here, and not trained. */
function checkTrained(
  { pipelineTypes, typesWithoutHands = [] }: ModelFamily,
  { pipeline: { type }, training }: ExperimentConfig,
): void {
  if (training.conditioning_mode !== 'dwm') {
    throw new InvalidArgumentError(
      'training.conditioning_mode',
      `${training.conditioning_mode} is for generating; expected dwm to train`,
    );
  }
  if (type !== undefined && typesWithoutHands.includes(type)) {
    const trained = pipelineTypes.filter((other) => !typesWithoutHands.includes(other));
    throw new InvalidArgumentError(
      'pipeline.type',
      `${type} knows no hands, and is for generating; expected ${trained.join(' or ')} to train`,
    );
  }
}
