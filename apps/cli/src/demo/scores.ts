/** How near a clip and what costs nothing come to the truth: PSNR in dB of all of it and of where something happens. */
import { changedRegion, clipPsnr, regionPsnr } from '@dwm/dwm-model/metrics';
import type { Frames } from '@dwm/media/node';
import { pasteHands } from '../eval/baselines.ts';

interface DemoScore {
  readonly wholeFrame: number;
  /** Absent where the truth is the static video throughout. */
  readonly changedRegion?: number;
}

interface DemoScores {
  readonly generated: DemoScore;
  /** The static video as the answer. */
  readonly nothingHappens: DemoScore;
  /** The hand render laid over it. */
  readonly pastedHands: DemoScore;
}

export function demoScores(clip: {
  generated: Frames;
  videos: { staticVideo: Frames; handVideo: Frames; truth: Frames };
}): DemoScores {
  const { generated, videos } = clip;
  const { staticVideo, handVideo, truth } = videos;
  const region = changedRegion(truth, staticVideo);
  const score = (video: Frames): DemoScore => ({
    wholeFrame: clipPsnr(video, truth).wholeClip,
    changedRegion: regionPsnr(video, truth, region, 1),
  });
  return {
    generated: score(generated),
    nothingHappens: score(staticVideo),
    pastedHands: score(pasteHands(staticVideo, handVideo)),
  };
}

/** A table for people. */
export function scoreTable(title: string, { generated, nothingHappens, pastedHands }: DemoScores): string {
  const row = (name: string, { wholeFrame, changedRegion }: DemoScore) =>
    `${name.padEnd(33)}${wholeFrame.toFixed(2).padStart(12)}${(changedRegion?.toFixed(2) ?? '-').padStart(26)}`;
  return [
    title,
    `PSNR against the simulation, dB   whole frame   where something happens`,
    row('generated', generated),
    row('nothing happens (static)', nothingHappens),
    row('hands pasted on static', pastedHands),
  ].join('\n');
}
