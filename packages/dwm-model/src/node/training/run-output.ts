/** What a training run writes into its folder: the plot of its loss, checkpoints, and in the end what was trained. */
import { join } from 'node:path';
import type { DeviceTensor } from '@dwm/core-tensor';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { type LossPoint, lossPlot } from '../../training/loss-plot.ts';
import type { TrainStep } from '../../training/train-step.ts';
import { saveCheckpoint, type TrainingState } from './checkpoint.ts';
import { linkFiles, writeFiles, writeModel } from './model-folder.ts';
import { layoutOf } from './run-start.ts';
import type { Inputs, TrainingTask } from './task.ts';
import type { Report, TrainOptions } from './train-options.ts';

/** How far a run is. */
export interface Progress {
  readonly step: number;
  /** Samples seen. */
  readonly position: number;
  readonly points: readonly LossPoint[];
}

export class RunOutput {
  /** Of several processes, whether this is the one that writes; the others' calls do nothing. */
  readonly writes: boolean;
  /** The last checkpoint, read or written. */
  saved: string | undefined;
  readonly #options: TrainOptions;
  readonly #report: Report;
  readonly #model: string;
  readonly #task: TrainingTask;

  /**
   * @param model folder of the base.
   * @param saved the checkpoint that the run begins with.
   */
  constructor(options: TrainOptions, report: Report, model: string, task: TrainingTask, saved?: string) {
    this.writes = (options.peers?.rank ?? 0) === 0;
    this.#options = options;
    this.#report = report;
    this.#model = model;
    this.#task = task;
    this.saved = saved;
  }

  /** The loss so far, as a picture. */
  async plot(points: readonly LossPoint[]): Promise<void> {
    if (!this.writes) return;
    const { output_dir, name } = this.#options.config.experiment;
    await writeFileAtomic(join(output_dir, 'loss.svg'), [Buffer.from(lossPlot(points, `${name}: loss`))]);
  }

  /** A checkpoint. @param losses of the steps since the one before. */
  async save(
    trained: TrainStep<Inputs>,
    { step, position, points }: Progress,
    losses: readonly number[],
  ): Promise<void> {
    if (!this.writes) return;
    const { config } = this.#options;
    const { training } = config;
    const { tensors, lossScale } = await trained.state();
    const state: TrainingState = {
      step,
      position,
      seed: training.seed,
      meanLoss: losses.reduce((sum, loss) => sum + loss, 0) / Math.max(1, losses.length),
      points,
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
    this.#report({ kind: 'checkpoint', path: this.saved, step });
  }

  /**
   * Writes what was trained into the output folder, as the original does: the two LoRA files, or `transformer/`. A whole
   * network comes as a model of its own as well, ready for use, in `model/`.
   */
  async finish(weights: DeviceTensor): Promise<string | undefined> {
    if (!this.writes) return undefined;
    const { experiment, training } = this.#options.config;
    const output = experiment.output_dir;
    const files = await this.#task.finish(weights);
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
