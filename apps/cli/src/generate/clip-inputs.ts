/** What a clip is made from, as its files have it, and what there is to say about them. */
import { basename } from 'node:path';
import { clipReport, handCoverage, handWarning } from '@dwm/dwm-model';
import { pixelRemark, type VideoInfo } from '@dwm/media/node';
import type { Reporter } from '../report.ts';
import { ablateVideos } from './ablate.ts';
import type { CheckedRun } from './checked-run.ts';
import { type ClipVideos, type ReadVideos, readVideos, type TextEmbeds } from './inputs.ts';
import type { Job } from './jobs.ts';
import { promptOf } from './prompts.ts';

export interface ClipInputs {
  readonly videos: ClipVideos;
  /** Warnings that were said of them. */
  readonly said?: readonly string[];
  readonly prompt: string | TextEmbeds;
}

export async function readInputs(job: Job, run: CheckedRun, reporter: Reporter): Promise<ClipInputs> {
  const { flags, family, prompt } = run;
  const found = await readVideos(job, { frames: flags.numFrames, fps: flags.fps }, family.defaults.takes);
  const videos = flags.withoutHands ? { ...found, ...ablateVideos(found, 'no-hands') } : found;
  const said = reportClip(videos, job, run, reporter);
  return { videos, said, prompt: await promptOf(job, prompt, flags) };
}

/** @returns the warnings that were said. */
function reportClip(
  { sources, handVideo, first }: ReadVideos,
  job: Job,
  { flags, family }: CheckedRun,
  reporter: Reporter,
): readonly string[] {
  const aim = { ...flags, model: basename(flags.model ?? ''), first, fit: family.defaults.fit };
  const { line, warnings } = clipReport(sources, handVideo, aim, (fps) => `--fps ${fps}`);
  reporter.say(line);
  for (const name of ['staticVideo', 'handVideo'] as const) sayPixels(job[name], sources[name], reporter);
  const noHands = flags.withoutHands && handWarning(handCoverage(handVideo));
  for (const warning of warnings) if (warning !== noHands) reporter.warn(warning);
  return warnings;
}

/** @param path of the video, for the message. */
export function sayPixels(path: string, info: VideoInfo, reporter: Reporter): void {
  const remark = pixelRemark(path, info);
  if (remark) reporter.say(remark);
}
