/** Every metric of one clip: what a row of an evaluation holds. */
import type { Video } from '../video/video.ts';
import { checkSameSize, frameOf, type NamedClip } from './clip.ts';
import { temporalFlicker } from './flicker.ts';
import { handAgreement } from './hand-agreement.ts';
import { clipPsnr, regionPsnr } from './psnr.ts';
import { changedRegion } from './region.ts';
import { sharpness } from './sharpness.ts';
import { clipSsim } from './ssim.ts';

/** What a clip is scored against. */
export interface ScoreInput {
  readonly prediction: NamedClip;
  /** What happened. */
  readonly truth: NamedClip;
  /** The static scene: needed for regions, flicker and hands. */
  readonly static?: NamedClip;
  /** The hand render, for hand agreement. */
  readonly hands?: NamedClip;
  /** `changedRegion` of truth and static, where it is known already. */
  readonly region?: Uint8Array;
}

/** Numbers of one clip; `null` where the clip has nothing to measure, e.g. no changed pixel. */
export interface Score {
  /** dB, all frames together. */
  readonly psnr: number;
  /** dB, mean of the frames' own. */
  readonly psnrFrames: number;
  readonly ssim: number;
  readonly psnrChanged?: number | null;
  readonly psnrUnchanged?: number | null;
  readonly ssimChanged?: number | null;
  readonly ssimUnchanged?: number | null;
  /** 8-bit steps a frame. */
  readonly flicker?: number | null;
  /** dB to the static video: what a model makes of a scene that nobody touches. */
  readonly psnrStatic?: number;
  /** 1 where the last frame's changed region is nearer to the truth than to the static scene, else 0. */
  readonly outcome?: number | null;
  /** Gradients of luma in the changed region, generated over truth: mean length, and energy. */
  readonly gradient?: number | null;
  readonly gradientEnergy?: number | null;
  /** Intersection over union, 0 to 1. */
  readonly handIou?: number | null;
  readonly overTime: {
    readonly psnr: readonly number[];
    readonly ssim: readonly number[];
    readonly handIou?: readonly (number | null)[];
  };
}

const orNull = (value: number | undefined) => value ?? null;

/** Whether a clip ends as it really did, and not as if nothing had been done: which way a drawer went. */
function outcome(p: Video, t: Video, still: Video, region: Uint8Array): number | null {
  const last = t.frames - 1;
  const pixels = t.height * t.width;
  const near = (clip: Video) =>
    regionPsnr(frameOf(p, last), frameOf(clip, last), region.subarray(last * pixels), 1);
  const [toTruth, toStill] = [near(t), near(still)];
  return toTruth === undefined || toStill === undefined ? null : Number(toTruth > toStill);
}

/** @throws DwmError naming two clips whose lengths or sizes differ. */
export function scoreClip({ prediction, truth, static: still, hands, region }: ScoreInput): Score {
  checkSameSize([truth, prediction, ...(still ? [still] : []), ...(hands ? [hands] : [])]);
  const [p, t] = [prediction.clip, truth.clip];
  const psnr = clipPsnr(p, t);
  const changed = still && (region ?? changedRegion(t, still.clip));
  const ssim = clipSsim(p, t, changed);
  const sharp = changed && sharpness(p, t, changed);
  const agreement = still && hands && handAgreement(p, still.clip, hands.clip);
  return {
    psnr: psnr.wholeClip,
    psnrFrames: psnr.meanOfFrames,
    ssim: ssim.mean,
    ...(changed && {
      psnrChanged: orNull(regionPsnr(p, t, changed, 1)),
      psnrUnchanged: orNull(regionPsnr(p, t, changed, 0)),
      ssimChanged: orNull(ssim.changed),
      ssimUnchanged: orNull(ssim.unchanged),
      psnrStatic: clipPsnr(p, still.clip).wholeClip,
      outcome: outcome(p, t, still.clip, changed),
      gradient: orNull(sharp?.gradient),
      gradientEnergy: orNull(sharp?.energy),
      flicker: orNull(temporalFlicker(p, still.clip, changed).mean),
    }),
    ...(agreement && { handIou: orNull(agreement.iou) }),
    overTime: {
      psnr: psnr.frames,
      ssim: ssim.frames,
      ...(agreement && { handIou: agreement.frames.map(orNull) }),
    },
  };
}
