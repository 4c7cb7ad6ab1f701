/** A training run on one device, from its start to its end or to the loss of the device. */
import { join } from 'node:path';
import { type Device, elementCount } from '@dwm/core-tensor';
import { checkOutput, openDirectory, writeFileAtomic } from '@dwm/core-tensor/node';
import { familyOf } from '../../families/index.ts';
import { targetOf } from '../../memory/devices.ts';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import { lrFactor } from '../../training/learning-rate.ts';
import { type LossPoint, lossPlot } from '../../training/loss-plot.ts';
import type { Peers } from '../../training/peers.ts';
import { NotFiniteError, TrainStep } from '../../training/train-step.ts';
import { nameBadTensor } from './bad-tensor.ts';
import { checkNoFlip } from './check-training.ts';
import { saveCheckpoint, type TrainingState } from './checkpoint.ts';
import { readDataset, readDatasets, type Sample } from './dataset.ts';
import { EventLog } from './event-log.ts';
import { linkFiles, writeFiles, writeModel } from './model-folder.ts';
import { allSamples, batchOrder } from './order.ts';
import { planTraining } from './plan-training.ts';
import { Prefetch } from './prefetch.ts';
import { baseModel, findStart, layoutOf, restore } from './run-start.ts';
import { stepOptions } from './step-options.ts';
import type { Batch, Inputs, TrainingTask } from './task.ts';
import type { Report, TrainOptions, TrainResult } from './train-options.ts';
import { trainingFiles } from './training-files.ts';
import { trainingOf } from './trainings.ts';
import { Validation } from './validation.ts';

/** The place of a process that trains by itself. */
const ALONE: Pick<Peers, 'rank' | 'count'> = { rank: 0, count: 1 };

/** Everything of a run that lives on one device. */
export class Session {
  /** The last checkpoint, read or written. */
  saved: string | undefined;
  readonly #options: TrainOptions;
  readonly #report: Report;
  readonly #device: Device;
  readonly #model: string;
  readonly #task: TrainingTask;
  readonly #validation: Validation;
  readonly #step: TrainStep<Inputs>;
  readonly #batches: Prefetch<Batch[]>;
  readonly #points: LossPoint[];
  #done: number;
  /** Samples seen. */
  #position: number;

  private constructor(parts: {
    options: TrainOptions;
    report: Report;
    device: Device;
    model: string;
    task: TrainingTask;
    validation: Validation;
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

  static async open(options: TrainOptions, report: Report): Promise<Session> {
    const { config } = options;
    const { training, data } = config;
    checkNoFlip(config);
    const { datasets, matched } = await readDatasets(data);
    const shown: Sample[] = [];
    for (const path of data.validation_set) shown.push(...(await readDataset(path, data)));
    const start = await findStart(options.resume ?? training.resume_from_checkpoint, config);
    const model = await baseModel(config, report);

    const device = await options.openDevice();
    try {
      const folder = await openDirectory(model);
      const family = await familyOf(folder);
      report({
        kind: 'plan',
        plan: await planTraining(config, folder, targetOf(device), options.experimentFile),
      });
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
        validation: new Validation(task, shown, report),
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
      if (!this.#validation.isEmpty && this.#done < last && !isStopped()) {
        await log?.scalars(this.#done, await this.#validate(shown));
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
          await log?.scalars(step, await this.#validate(data.num_validation_videos));
        if (step === last && !this.#validation.isEmpty)
          await log?.scalars(step, await this.#validate(Math.min(data.max_validation_videos, 4)));
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
      if (error instanceof NotFiniteError && this.#options.debugNan)
        await nameBadTensor(
          error,
          batches,
          this.#device,
          this.#task,
          this.#step.theta,
          this.#options.peers ?? ALONE,
        );
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
      layout: layoutOf(this.#task.trainable),
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
  async #validate(count: number): Promise<Record<string, number>> {
    if (!this.#writes) return {};
    await this.#batches.settle();
    return this.#validation.run(this.#step.weights, this.#done, count);
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
