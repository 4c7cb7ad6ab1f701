/** What a mode of training is to the trainer: weights, a loss, batches, and what to show and write. */
import type { Device, DeviceTensor, TensorSpec } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import type { LoadedTransformer, ModelFamily } from '../../families/family.ts';
import type { DwmPipeline } from '../../pipeline/pipeline.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import type { BatchOrder } from '../../training/data/batch-order.ts';
import type { LossFunction } from '../../training/train-step.ts';
import type { Trainable } from '../../training/trainable.ts';
import type { LatentSize } from '../../vae/index.ts';
import type { Video } from '../../video/video.ts';
import type { Needs, Sample } from './dataset.ts';
import type { ReadClip } from './encoder.ts';
import type { ModelFiles } from './model-folder.ts';

export type Inputs = Record<string, TensorSpec>;
export type Batch = Readonly<Record<string, Float32Array>>;

/** A clip and what the VAE makes of it. */
export interface Reconstruction {
  readonly name: string;
  readonly truth: Video;
  readonly reconstruction: Video;
  /** Decibels, both clips in [0, 1]. */
  readonly psnr: number;
}

/** What writes the results of a validation. */
export interface Shows {
  /** Makes and writes validation videos. */
  readonly validate?: (pipeline: DwmPipeline, samples: readonly Sample[], step: number) => Promise<void>;
  /** Writes reconstructions of the VAE. */
  readonly reconstructions?: (clips: readonly Reconstruction[], step: number) => Promise<void>;
}

/** What every mode begins with. */
export interface TaskContext {
  readonly config: ExperimentConfig;
  readonly device: Device;
  /** The base model: the path of its folder, the folder, and its family. */
  readonly model: string;
  readonly folder: ModelFolder;
  readonly family: ModelFamily;
  /** The clips of every dataset list. */
  readonly datasets: readonly (readonly Sample[])[];
  /** Clips of the same room with other hands, which come in pairs with the clips of the lists. */
  readonly matched: ReadonlyMap<Sample, readonly Sample[]>;
  /** Which clip comes when. */
  readonly order: BatchOrder<Sample>;
  /** A folder of LoRA weights to start from. */
  readonly loraStart: ModelFolder | undefined;
  readonly readClip: ReadClip;
  readonly files: TrainingFiles;
  /** A pipeline of the base model with a transformer in place of its own. */
  readonly openPipeline: (transformer: LoadedTransformer) => Promise<DwmPipeline>;
  readonly shows: Shows;
  readonly loading: (part: string, done: number, total: number) => void;
  readonly warn: (text: string) => void;
}

/** The files of samples, as tasks read them; latents and embeddings are named without extension. */
export interface TrainingFiles {
  /**
   * Looks for what all samples of the lists need, before the first step.
   * @param hint what to do about what is missing.
   * @throws InvalidFileError naming the first file that is missing, and how many are.
   */
  check(needs: (sample: Sample) => Needs, hint: string): Promise<void>;
  /** Latents [C, frames, h, w], drawn when they were encoded. */
  latents(path: string, size: LatentSize): Promise<Float32Array>;
  /** Embeddings [tokens, dim]. */
  embeds(path: string, dim: number): Promise<Float32Array>;
  /** The text of a caption; empty where there is none. */
  caption(path: string): Promise<string>;
}

/** Settings of the optimizer that an experiment names. */
type OptimizerSettings = Pick<
  ExperimentConfig['training'],
  'beta1' | 'beta2' | 'epsilon' | 'weight_decay' | 'max_grad_norm'
>;

/** What a step trains, and by which loss. */
export interface TrainedStep {
  readonly trainable: Trainable;
  /** Settings that count in place of the experiment's. */
  readonly fixed?: OptimizerSettings;
  /** Elements of the packed weights, from the start, whose gradient is clipped; all if left out. */
  readonly clippedLength?: number;
  readonly loss: LossFunction<Inputs>;
}

/** What the plan of a training is made from: an experiment and its base model. */
export interface PlanContext {
  readonly config: ExperimentConfig;
  readonly folder: ModelFolder;
  readonly family: ModelFamily;
}

/** A task as configurations and headers tell it, with weights that have no values. */
export interface PlannedTask {
  /** Bytes of the networks that stay on the device throughout. */
  readonly weightBytes: number;
  /** Of the network that is trained, all alike; 1 where it has none. */
  readonly blocks: number;
  /** With so many of its blocks. */
  step(blocks: number): TrainedStep;
}

export interface TrainingTask extends TrainedStep {
  /** The micro-batch whose first sample is the run's `position`-th. Never asked for two at a time. */
  batch(position: number): Promise<Batch>;
  /** What a checkpoint holds for others to read. */
  files(theta: Float32Array): ModelFiles;
  /** Shows what the weights can do now. @returns numbers for the log. */
  validate(theta: DeviceTensor, step: number, samples: readonly Sample[]): Promise<Record<string, number>>;
  /** What the finished model replaces in its base, or puts beside it, as a LoRA does. */
  finish(theta: DeviceTensor): Promise<ModelFiles>;
}
