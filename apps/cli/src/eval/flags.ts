/** The flags of `dwm eval`. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { Captions } from '../judge/captions.ts';
import type { WorkerFlags } from '../work/claim.ts';

export interface Flags extends WorkerFlags {
  dataRoot?: string;
  datasetFile?: string;
  pred?: string;
  predVideo?: string;
  truthVideo?: string;
  staticVideo?: string;
  handVideo?: string;
  model: string[];
  ablations?: true;
  limit?: number;
  lpips?: string;
  pck?: boolean;
  out: string;
  promptSubdir: string;
  followLinks?: true;
  promptEmbeds?: string;
  captions: Captions;
  numInferenceSteps?: number;
  guidanceScale?: number;
  composite?: boolean;
  seed: number;
  precision: 'f32' | 'f16';
  numFrames?: number;
  height?: number;
  width?: number;
  memory?: number;
}

/** @throws InvalidArgumentError for flags that are missing or contradict each other. */
export function checkFlags(flags: Flags): void {
  if (flags.datasetFile) {
    if (!flags.dataRoot) throw new InvalidArgumentError('data-root', 'is required with --dataset-file');
    if (flags.predVideo || flags.truthVideo)
      throw new InvalidArgumentError('pred-video', 'is about one pair; leave it out with --dataset-file');
    if (!flags.pred && flags.model.length === 0)
      throw new InvalidArgumentError('pred', 'is required: a folder of videos to score; or pass --model');
    return;
  }
  if (flags.pred) throw new InvalidArgumentError('dataset-file', 'is required with --pred');
  if (!flags.truthVideo)
    throw new InvalidArgumentError('truth-video', 'is required; or pass --data-root and --dataset-file');
  if (!flags.predVideo && flags.model.length === 0)
    throw new InvalidArgumentError('pred-video', 'is required: the video to score; or pass --model');
}
