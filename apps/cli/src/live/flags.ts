import type { RunSettings } from '@dwm/dwm-model';
import type { Given } from '../generate/flags.ts';
import type { DrawFlags } from '../render/options.ts';

/** Of `dwm generate`: what runs, and what it goes by. */
type Shared = Pick<
  Given,
  | 'model'
  | 'precision'
  | 'memory'
  | 'dryRun'
  | 'device'
  | 'staticVideo'
  | 'handVideo'
  | 'scene'
  | 'trajectory'
  | 'video'
  | 'prompt'
  | 'promptFile'
  | 'promptEmbeds'
  | 'seed'
>;

/** Options of `dwm live`; settings that are left out are the model's. */
export interface LiveFlags extends Partial<RunSettings>, DrawFlags, Shared {
  out: string;
  still?: true;
  repeat: number;
}
