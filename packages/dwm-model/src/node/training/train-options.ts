/** What a training run is told, and what it tells. */
import type { Device } from '@dwm/core-tensor';
import type { ExperimentConfig } from '../../training/config.ts';
import type { LossPoint } from '../../training/loss-plot.ts';
import type { Peers, WireOptions } from '../../training/peers.ts';
import type { ReadClip } from './encoder.ts';
import type { TrainingPlan } from './plan-training.ts';
import type { Shows } from './task.ts';

/** Takes what a run tells. */
export type Report = (event: TrainEvent) => void;

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
