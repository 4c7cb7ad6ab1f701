/** What a run is asked for, checked before anything is made for it; and what about its videos is odd. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { DenoisingNetwork } from '../families/family.ts';
import type { CodecShape } from '../vae/index.ts';
import { checkVideo, type Video, type VideoSize } from '../video/video.ts';
import { shapes } from './clip-report.ts';
import { handCoverage, handWarning } from './hand-coverage.ts';
import type { GenerateOptions } from './options.ts';

/** Pixels of one side: four times those of a cinema's screen. */
const MOST_SIDE = 16_384;
/** Numbers of a clip, which take 2 GB: twenty times the original's clip. */
const MOST_VALUES = 2 ** 29;

/** @throws InvalidArgumentError naming the size that is out of range. */
export function checkSize(
  { frames, height, width }: VideoSize,
  { ratio, temporalRatio }: CodecShape,
  { patch, framePatch }: DenoisingNetwork,
): void {
  if (!Number.isInteger(frames) || frames < 1 || (frames - 1) % 4 !== 0)
    throw new InvalidArgumentError('numFrames', `expected 4k + 1 frames (1, 5, … 49), got ${frames}`);
  const unit = ratio * patch;
  for (const [name, value] of [
    ['height', height],
    ['width', width],
  ] as const) {
    if (!Number.isInteger(value) || value < unit || value % unit !== 0)
      throw new InvalidArgumentError(name, `expected a multiple of ${unit}, got ${value}`);
    if (value > MOST_SIDE)
      throw new InvalidArgumentError(name, `expected at most ${MOST_SIDE} pixels, got ${value}`);
  }
  const values = frames * height * width * 3;
  if (values > MOST_VALUES) {
    throw new InvalidArgumentError(
      'numFrames',
      `${frames} frames of ${width}x${height} take ${((values * 4) / 1e9).toFixed(1)} GB, expected at most ${((MOST_VALUES * 4) / 1e9).toFixed(1)} GB; take fewer frames or a smaller picture`,
    );
  }
  const latentFrames = (frames - 1) / temporalRatio + 1;
  if (latentFrames % framePatch !== 0) {
    throw new InvalidArgumentError(
      'numFrames',
      `this model takes latent frames ${framePatch} at a time; expected ${temporalRatio * (Math.ceil(latentFrames / framePatch) * framePatch - 1) + 1} frames, got ${frames}`,
    );
  }
}

/** @throws InvalidArgumentError naming the option that is out of range; sizes and steps are checked on their own. */
export function checkOptions({
  staticVideo,
  handVideo,
  mask,
  guidanceScale,
  cfgSkipRatio,
  seed,
}: GenerateOptions & Required<Pick<GenerateOptions, 'guidanceScale' | 'cfgSkipRatio' | 'seed'>>): void {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new InvalidArgumentError('seed', `expected a whole number from 0 to 2^53 - 1, got ${seed}`);
  if (!Number.isFinite(guidanceScale) || guidanceScale < 0)
    throw new InvalidArgumentError('guidanceScale', `expected a number from 0 up, got ${guidanceScale}`);
  if (!(cfgSkipRatio >= 0 && cfgSkipRatio <= 1))
    throw new InvalidArgumentError('cfgSkipRatio', `expected a number from 0 to 1, got ${cfgSkipRatio}`);
  checkVideo('static', staticVideo);
  checkVideo('hands', handVideo);
  if (typeof mask === 'object') checkVideo('mask', mask, 1);
}

/** A line for each thing about the videos that is not as the model expects it. */
export function videoRemarks(staticVideo: Video, handVideo: Video, frames: number): string[] {
  const stretched = [staticVideo, handVideo].some((clip) => clip.frames !== frames);
  const remarks = [
    stretched
      ? `the static video has ${staticVideo.frames} frames and the hand video ${handVideo.frames}; each is stretched over the ${frames} of the clip, whatever its speed`
      : undefined,
    shapes({ staticVideo, handVideo }),
    handWarning(handCoverage(handVideo)),
  ];
  return remarks.filter((line) => line !== undefined);
}
