/** What a live run needs of a loaded model; a `DwmPipeline` is one. */
import type { Device, Precision } from '@dwm/core-tensor';
import type { DenoisingNetwork, ModelFamily } from '../families/family.ts';
import type { RunSettings } from '../pipeline/run-settings.ts';
import type { Scheduler } from '../schedulers/index.ts';
import type { ClipCodec } from '../vae/index.ts';

export interface LiveModel {
  readonly device: Device;
  readonly family: ModelFamily;
  readonly settings: RunSettings;
  readonly scheduler: Scheduler;
  readonly vae: ClipCodec;
  readonly network: DenoisingNetwork;
  readonly precision: Precision;
  /** Whether all of the transformer is on the device. */
  readonly weightsStay: boolean;
  /** Embeddings of prompts, one row each: [prompts, tokens, dim]. */
  encodePrompts(prompts: readonly string[]): Promise<Float32Array>;
}
