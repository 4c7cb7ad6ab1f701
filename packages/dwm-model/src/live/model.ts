/** What a live run needs of a loaded model; a `DwmPipeline` is one. */
import type { Device, Precision } from '@dwm/core-tensor';
import type { Settled } from '../pipeline/settle.ts';

export interface LiveModel extends Settled {
  readonly device: Device;
  readonly precision: Precision;
  /** Whether all of the transformer is on the device. */
  readonly weightsStay: boolean;
  /** Embeddings of prompts, one row each: [prompts, tokens, dim]. */
  encodePrompts(prompts: readonly string[]): Promise<Float32Array>;
}
