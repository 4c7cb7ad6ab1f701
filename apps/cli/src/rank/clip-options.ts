/** Options of commands that make clips to compare: the model's own settings hold wherever one is left out. */
import type { RunSettings } from '@dwm/dwm-model';
import type { Command } from 'commander';
import { inSteps, integer, memoryOption, real } from '../commands/options.ts';

export interface ClipFlags {
  numInferenceSteps?: number;
  guidanceScale?: number;
  numFrames?: number;
  height?: number;
  width?: number;
  memory?: number;
}

export const withClipOptions = (command: Command): Command =>
  command
    .option('--num-inference-steps <n>', "denoising steps; the model's own if left out", integer(1, 1000))
    .option('--guidance-scale <g>', 'classifier-free guidance; likewise', real(0))
    .option('--num-frames <n>', 'likewise, 4k + 1', inSteps(1, 4, '4k + 1 frames'))
    .option('--height <pixels>', 'likewise', inSteps(16, 16, 'a multiple of 16'))
    .option('--width <pixels>', 'likewise', inSteps(16, 16, 'a multiple of 16'))
    .addOption(memoryOption());

/** Frames, pixels and rate of the clips. */
export const clipSize = (flags: ClipFlags & { fps?: number }, own: RunSettings) => ({
  frames: flags.numFrames ?? own.numFrames,
  height: flags.height ?? own.height,
  width: flags.width ?? own.width,
  fps: flags.fps ?? own.fps,
});
