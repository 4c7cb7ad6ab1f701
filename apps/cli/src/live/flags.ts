import type { DrawFlags } from '../render/options.ts';

/** Options of `dwm live`. */
export interface LiveFlags extends DrawFlags {
  model?: string;
  precision: 'f32' | 'f16';
  memory?: number;
  dryRun?: true;
  device?: string;
  staticVideo?: string;
  handVideo?: string;
  scene?: string[];
  trajectory?: string;
  video?: string;
  prompt?: string;
  promptFile?: string;
  promptEmbeds?: string;
  out: string;
  numFrames?: number;
  height?: number;
  width?: number;
  fps?: number;
  still?: true;
  repeat: number;
  seed: number;
  numInferenceSteps?: number;
  guidanceScale?: number;
  composite?: boolean;
}
