/** What a run needs, and its plan. */
import type { KernelWork, Precision } from '@dwm/core-tensor';
import type { CacheKind } from '../pipeline/step-cache.ts';
import type { VaeOptions } from '../vae/index.ts';
import type { LoraNeeds } from '../weights/merge-lora.ts';
import type { QuantizedDtype } from '../weights/quantized.ts';
import type { MemoryChoice } from './choice.ts';

/** What a run makes: frames and pixels of the clip, denoising steps, and whether guidance runs. */
export interface RunSize {
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  readonly numInferenceSteps: number;
  readonly guided: boolean;
}

/** All of a run that its plan depends on. */
export interface RunNeeds extends RunSize {
  readonly precision: Precision;
  /** Whether prompts are encoded; embeddings that are given need no text encoder. */
  readonly encodesText: boolean;
  /** Tokens of embeddings that are given. */
  readonly textTokens?: number | undefined;
  readonly tiling?: VaeOptions['tiling'] | undefined;
  /** One is merged into weights that are not quantized; others stay beside them. */
  readonly loras?: LoraNeeds | undefined;
  /** Whether the static video stays for its compositing. */
  readonly composite?: boolean | undefined;
  /** Leaves blocks out in some steps; how many is not known before, and none is counted as left out. */
  readonly cache?: CacheKind | undefined;
  /** Share of the steps that go by the prompt alone. */
  readonly cfgSkipRatio?: number | undefined;
}

/** `live` is of a live run, and the last three are a training's. */
export type StageName =
  | ('text' | 'encode' | 'denoise' | 'decode')
  | 'live'
  | ('step' | 'checkpoint' | 'validation');

/** What one stage of a run takes; sizes in bytes. */
export interface PlannedStage {
  readonly stage: StageName;
  /** On the device throughout. */
  readonly stays: number;
  /** While the stage lasts: weights that come and go, and everything that is computed. */
  readonly own: number;
  readonly teraflops: number;
  /** Bytes that are read of files. */
  readonly reads: number;
  readonly seconds?: number;
  readonly chosen: string;
}

/** A run on a device, stage by stage; sizes in bytes. */
export interface RunPlan {
  readonly device: string;
  readonly budget: number;
  readonly size: RunSize;
  readonly choice: MemoryChoice;
  readonly stages: readonly PlannedStage[];
  /** What the kernels of a denoising step compute and move. */
  readonly kernels: readonly KernelWork[];
  /** Most bytes on the device at a time. */
  readonly bytes: number;
  /** Of loading what stays. */
  readonly loads: number;
  readonly seconds?: number;
  /** Of a run that streams blocks: what it would be with quantized weights, where the model has floats. */
  readonly quantized?: readonly QuantizedRun[];
}

/** A run with weights that `dwm quantize` would make; sizes in bytes. */
export interface QuantizedRun {
  readonly dtype: QuantizedDtype;
  /** Most bytes on the device at a time. */
  readonly bytes: number;
  /** How its blocks go. */
  readonly chosen: string;
  readonly seconds?: number;
  /** Of the quantized model's files. */
  readonly fileBytes: number;
  /** About so long takes making them, on one core. */
  readonly makingSeconds: number;
}
