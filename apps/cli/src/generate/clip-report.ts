/** What is taken of the videos of a clip, in a line; and what about them is not as the model expects it. */
import { basename } from 'node:path';
import { handCoverage, handWarning } from '@dwm/dwm-model';
import type { VideoInfo } from '@dwm/media/node';
import type { Reporter } from '../report.ts';
import type { ReadVideos } from './inputs.ts';

/** Of the clip to make, and the folder of its model. */
export interface ClipAim {
  readonly numFrames: number;
  readonly fps: number;
  readonly height: number;
  readonly width: number;
  readonly model?: string;
}

export function reportClip(videos: ReadVideos, aim: ClipAim, reporter: Reporter): void {
  const { line, warnings } = clipReport(videos, aim);
  reporter.say(line);
  for (const warning of warnings) reporter.warn(warning);
}

/** One line on what is used; one line for each thing that is odd. */
export function clipReport(videos: ReadVideos, aim: ClipAim): { line: string; warnings: string[] } {
  const { sources, whole, handVideo } = videos;
  const { staticVideo } = sources;
  const coverage = handCoverage(handVideo);
  const parts = [
    whole ? allFrames(staticVideo, aim) : inTime(staticVideo, aim),
    sizes(staticVideo, aim),
    `hands in ${seconds(coverage.frames / aim.fps)} of them`,
  ];
  if (basename(aim.model ?? '') === 'dwm-tiny') parts.push('dwm-tiny knows only simulated rooms');
  const warnings = [lengths(videos, aim), shapes(sources), handWarning(coverage)];
  return { line: parts.join('; '), warnings: warnings.filter((text) => text !== undefined) };
}

const seconds = (value: number) => `${value.toFixed(1)} s`;
const duration = ({ frames, fps }: VideoInfo) => frames / fps;

function allFrames({ frames, fps }: VideoInfo, aim: ClipAim): string {
  const speed = aim.fps / fps;
  if (Math.abs(speed - 1) < 0.02) return `all ${frames} frames, ${seconds(frames / aim.fps)}`;
  return `all ${frames} frames, shown ${speed.toFixed(2)} times as fast as filmed (--fps ${Number(fps.toFixed(2))} keeps their time)`;
}

function inTime(info: VideoInfo, { numFrames, fps }: ClipAim): string {
  const [has, makes] = [duration(info), numFrames / fps];
  const taken = Math.min(numFrames, Math.max(1, Math.floor(has * fps + 1e-6)));
  const frames = `${taken} of ${info.frames} frames at their own speed`;
  if (taken < numFrames) return `${frames}, ${seconds(has)}, and the last one repeated to ${seconds(makes)}`;
  return has - makes < 1 / fps
    ? `${frames}, ${seconds(makes)}`
    : `${frames}, the first ${seconds(makes)} of ${seconds(has)}`;
}

function sizes(from: VideoInfo, { width, height }: ClipAim): string {
  const size = `${from.width}x${from.height}`;
  if (from.width === width && from.height === height) return size;
  const shape = (width * from.height) / (height * from.width);
  const how = Math.abs(shape - 1) < 0.02 ? 'made' : shape > 1 ? 'stretched to' : 'squeezed to';
  return `${size} ${how} ${width}x${height}`;
}

function lengths({ sources, whole }: ReadVideos, { numFrames, fps }: ClipAim): string | undefined {
  const { staticVideo, handVideo } = sources;
  if (whole) {
    if (Math.abs(staticVideo.fps / handVideo.fps - 1) < 0.02) return undefined;
    return `the static video has ${staticVideo.fps} frames a second and the hand video ${handVideo.fps}; frame goes with frame, whatever their times`;
  }
  const [scene, hands] = [staticVideo, handVideo].map((info) => Math.min(duration(info), numFrames / fps));
  if (Math.abs(scene - hands) < 1.5 / fps) return undefined;
  return `the hand video lasts ${seconds(duration(handVideo))} and the static video ${seconds(duration(staticVideo))}; the last frame of the shorter one is repeated`;
}

function shapes({ staticVideo, handVideo }: ReadVideos['sources']): string | undefined {
  const ratio = (staticVideo.width * handVideo.height) / (staticVideo.height * handVideo.width);
  if (Math.abs(ratio - 1) < 0.02) return undefined;
  return `the hand video is ${handVideo.width}x${handVideo.height} and the static video ${staticVideo.width}x${staticVideo.height}; each is resized on its own, so hands will not lie where they should`;
}
