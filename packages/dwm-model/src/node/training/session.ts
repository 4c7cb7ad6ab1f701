/** A training run on one device, step by step, from its start to its end or to the loss of the device. */
import { join } from 'node:path';
import { lrFactor } from '../../training/learning-rate.ts';
import type { LossPoint } from '../../training/loss-plot.ts';
import { NotFiniteError } from '../../training/train-step.ts';
import { nameBadTensor } from './bad-tensor.ts';
import { EventLog } from './event-log.ts';
import { ALONE, type SessionParts } from './open-session.ts';
import { Pace } from './pace.ts';
import type { Batch } from './task.ts';
import type { TrainResult } from './train-options.ts';

export class Session {
  readonly #parts: SessionParts;
  readonly #points: LossPoint[];
  #done: number;
  /** Samples seen. */
  #position: number;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#points = [...parts.begun.points];
    this.#done = parts.begun.step;
    this.#position = parts.begun.position;
  }

  /** The last checkpoint, read or written. */
  get saved(): string | undefined {
    return this.#parts.output.saved;
  }

  async run(): Promise<TrainResult> {
    const { options, report, validation, output, batches } = this.#parts;
    const { config, signal } = options;
    const { training, data, logging, experiment } = config;
    const { checkpointing_steps: interval } = training.custom_settings;
    const perStep = training.batch_size * training.gradient_accumulation_steps;
    const log = output.writes ? await EventLog.open(join(experiment.output_dir, 'logs')) : undefined;
    const last = training.max_train_steps;
    // Where others take part, all stop after the same step, so what they agreed on counts.
    let agreed = false;
    const isStopped = () => (options.peers ? agreed : signal?.aborted === true);
    let sinceSave: number[] = [];
    const shown = Math.min(data.max_validation_videos, data.num_validation_videos);
    try {
      if (options.saveInitial && this.#done === 0) await this.#save([]);
      if (!validation.isEmpty && this.#done < last && !isStopped()) {
        await log?.scalars(this.#done, await this.#validate(shown));
      }
      const pace = new Pace(performance.now());
      while (this.#done < last && !isStopped()) {
        const next = await batches.take();
        const step = this.#done + 1;
        const lr =
          training.learning_rate *
          lrFactor(training.lr_scheduler, this.#done, {
            warmupSteps: training.lr_warmup_steps,
            totalSteps: last,
            cycles: training.lr_num_cycles,
            learningRate: training.learning_rate,
          });
        const { loss, norm, skipped, stop } = await this.#checked(next, step, lr, signal?.aborted);
        agreed = stop;
        if (skipped) {
          const text = `step ${step}: a gradient left the range of f16; the step is left out, and the loss scaled by half of before`;
          report({ kind: 'warning', text });
        }
        this.#done = step;
        this.#position += perStep;
        sinceSave.push(loss);
        pace.stepEnded(performance.now());
        const { stepsPerSecond } = pace;
        const samplesPerSecond = stepsPerSecond * perStep;
        report({
          kind: 'step',
          step,
          steps: last,
          loss,
          norm,
          lr,
          samplesPerSecond,
          etaSeconds: (last - step) / stepsPerSecond,
        });
        if (step % logging.log_steps === 0 || step === last || step === 1) {
          this.#points.push({ step, loss });
          await log?.scalars(step, { loss, lr, grad_norm: norm, samples_per_second: samplesPerSecond });
          await output.plot(this.#points);
        }
        if ((interval > 0 && step % interval === 0) || step === last || isStopped()) {
          await this.#save(sinceSave);
          sinceSave = [];
        }
        if (data.validation_steps > 0 && step % data.validation_steps === 0)
          await log?.scalars(step, await this.#validate(data.num_validation_videos));
        if (step === last && !validation.isEmpty)
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
    this.#parts.device.destroy();
    await this.#parts.batches.settle();
  }

  async #checked(batches: readonly Batch[], step: number, lr: number, stop?: boolean) {
    const { step: trained, options, device, task } = this.#parts;
    try {
      return await trained.run(batches, step, lr, stop);
    } catch (error) {
      if (error instanceof NotFiniteError && options.debugNan)
        await nameBadTensor(error, batches, device, task, trained.theta, options.peers ?? ALONE);
      throw error;
    }
  }

  #save(losses: readonly number[]): Promise<void> {
    const progress = { step: this.#done, position: this.#position, points: this.#points };
    return this.#parts.output.save(this.#parts.step, progress, losses);
  }

  /** @returns what it measured, for the log. */
  async #validate(count: number): Promise<Record<string, number>> {
    const { output, batches, validation, step } = this.#parts;
    if (!output.writes) return {};
    await batches.settle();
    return validation.run(step.weights, this.#done, count);
  }

  async #finish(): Promise<string | undefined> {
    const { output, batches, step } = this.#parts;
    await batches.settle();
    return output.finish(step.weights);
  }
}
