/** The start of a training run: its data, its model and where it goes on are found and opened. */
import { type Device, elementCount } from '@dwm/core-tensor';
import { checkOutput, openDirectory } from '@dwm/core-tensor/node';
import { familyOf } from '../../families/index.ts';
import { targetOf } from '../../memory/devices.ts';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import type { Peers } from '../../training/peers.ts';
import { TrainStep } from '../../training/train-step.ts';
import { checkKeys } from './check-training.ts';
import { readDataset, readDatasets, type Sample } from './dataset.ts';
import { allSamples, batchOrder } from './order.ts';
import { planTraining } from './plan-training.ts';
import { Prefetch } from './prefetch.ts';
import { type Progress, RunOutput } from './run-output.ts';
import { baseModel, findStart, restore } from './run-start.ts';
import { stepOptions } from './step-options.ts';
import type { Batch, Inputs, TrainingTask } from './task.ts';
import type { Report, TrainOptions } from './train-options.ts';
import { trainingFiles } from './training-files.ts';
import { trainingOf } from './trainings.ts';
import { Validation } from './validation.ts';

/** The place of a process that trains by itself. */
export const ALONE: Pick<Peers, 'rank' | 'count'> = { rank: 0, count: 1 };

/** Everything of a run that lives on one device. */
export interface SessionParts {
  readonly options: TrainOptions;
  readonly report: Report;
  readonly device: Device;
  readonly task: TrainingTask;
  readonly step: TrainStep<Inputs>;
  readonly batches: Prefetch<Batch[]>;
  readonly validation: Validation;
  readonly output: RunOutput;
  /** Where it begins. */
  readonly begun: Progress;
}

/** @throws InvalidArgumentError and InvalidFileError for what is wrong with the experiment, its data or its model. */
export async function openSession(options: TrainOptions, report: Report): Promise<SessionParts> {
  const { config } = options;
  const { training, data } = config;
  checkKeys(config);
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
    const from = start?.kind === 'checkpoint' ? start.path : undefined;
    return {
      ...{ options, report, device, task, step },
      begun: { step: done.step, position: done.position, points: done.points },
      output: new RunOutput(options, report, model, task, from),
      validation: new Validation(task, shown, report),
      batches: new Prefetch(done.step, 2, load),
    };
  } catch (error) {
    device.destroy();
    throw error;
  }
}
