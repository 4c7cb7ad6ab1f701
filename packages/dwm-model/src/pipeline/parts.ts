/** What a loaded model is made of: what the stages of its runs work with. */
import type { Device, Precision } from '@dwm/core-tensor';
import type { DenoisingNetwork, LoadedTransformer, ModelFamily, TextReader } from '../families/family.ts';
import type { MemoryChoice } from '../memory/choice.ts';
import type { Scheduler } from '../schedulers/index.ts';
import type { ClipCodec } from '../vae/index.ts';
import type { RunSettings } from './run-settings.ts';

export interface PipelineParts {
  readonly device: Device;
  readonly family: ModelFamily;
  /** What the model was made for, which holds wherever a run says nothing else. */
  readonly settings: RunSettings;
  readonly scheduler: Scheduler;
  readonly vae: ClipCodec;
  readonly text: TextReader | undefined;
  readonly transformer: LoadedTransformer;
  /** The transformer as the denoiser sees it. */
  readonly network: DenoisingNetwork;
  readonly precision: Precision;
  readonly memory: MemoryChoice;
}
