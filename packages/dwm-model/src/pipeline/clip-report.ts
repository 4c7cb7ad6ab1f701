/** What is taken of the two videos of a clip, in a line; and what about them is not as the model expects it. */
import type { Video } from '../video/video.ts';
import { handCoverage, handWarning } from './hand-coverage.ts';

/** A video file: its upright picture with square pixels. */
export interface VideoFacts {
  readonly frames: number;
  /** Frames a second. */
  readonly fps: number;
  readonly height: number;
  readonly width: number;
}

/** The two videos that a clip is made from. */
export interface ClipSources {
  readonly staticVideo: VideoFacts;
  readonly handVideo: VideoFacts;
}

/** Of the clip to make, and the name of its model. */
export interface ClipAim {
  readonly numFrames: number;
  readonly fps: number;
  readonly height: number;
  readonly width: number;
  readonly model?: string;
  /** Frames taken of each video whatever their rate, where that is the model's way. */
  readonly first?: number;
  /** How pictures of another size become the clip's; stretched unless told. */
  readonly fit?: 'stretch' | 'letterbox';
}

/** What is used of the videos of a clip. */
export interface ClipReport {
  /** What is used of the videos. */
  readonly line: string;
  /** A line for each thing that is odd. */
  readonly warnings: readonly string[];
}

/**
 * @param sources the files. Both are taken whole, frame by frame, where they have exactly the clip's frames, else at
 * their own speed.
 * @param hands what was read of the hand video.
 * @param keepTime how to have a video at `fps` keep its time, where there is a way.
 */
export function clipReport(
  sources: ClipSources,
  hands: Video,
  aim: ClipAim,
  keepTime?: (fps: number) => string,
): ClipReport {
  const { staticVideo, handVideo } = sources;
  const whole = [staticVideo, handVideo].every(({ frames }) => frames === aim.numFrames);
  const inRate = aim.first === undefined;
  const coverage = handCoverage(hands);
  const parts = [
    whole
      ? allFrames(staticVideo, aim, keepTime)
      : inRate
        ? inTime(staticVideo, aim)
        : firstFrames(staticVideo, aim),
    sizes(staticVideo, aim),
    `hands in ${seconds(coverage.frames / aim.fps)} of them`,
  ];
  const limit = knowsOnly(aim.model);
  if (limit) parts.push(limit);
  const oddTime = whole ? rates(sources) : inRate ? lengths(sources, aim) : undefined;
  const warnings = [oddTime, shapes(sources), handWarning(coverage)];
  return { line: parts.join('; '), warnings: warnings.filter((text) => text !== undefined) };
}

/** What a model of this name was made for and nothing else, in words for its user. */
export const knowsOnly = (model: string | undefined): string | undefined =>
  model?.startsWith('dwm-tiny') ? `${model} knows only simulated rooms` : undefined;

const seconds = (value: number) => `${value.toFixed(1)} s`;
const duration = ({ frames, fps }: VideoFacts) => frames / fps;
const round = (value: number) => Number(value.toFixed(2));

function allFrames({ frames, fps }: VideoFacts, aim: ClipAim, keepTime?: (fps: number) => string): string {
  const speed = aim.fps / fps;
  if (Math.abs(speed - 1) < 0.02) return `all ${frames} frames, ${seconds(frames / aim.fps)}`;
  const instead = keepTime ? ` (${keepTime(round(fps))} keeps their time)` : '';
  return `all ${frames} frames, shown ${speed.toFixed(2)} times as fast as filmed${instead}`;
}

/** Of a model that takes the first frames, whatever their rate. */
function firstFrames({ frames }: VideoFacts, { numFrames, first = frames }: ClipAim): string {
  const rest = first < numFrames ? `, and the last one repeated to ${numFrames}` : '';
  return `the first ${first} of ${frames} frames${rest}`;
}

function inTime(info: VideoFacts, { numFrames, fps }: ClipAim): string {
  const [has, makes] = [duration(info), numFrames / fps];
  const taken = Math.min(numFrames, Math.max(1, Math.floor(has * fps + 1e-6)));
  const frames = `${taken} of ${info.frames} frames at their own speed`;
  if (taken < numFrames) return `${frames}, ${seconds(has)}, and the last one repeated to ${seconds(makes)}`;
  return has - makes < 1 / fps
    ? `${frames}, ${seconds(makes)}`
    : `${frames}, the first ${seconds(makes)} of ${seconds(has)}`;
}

function sizes(from: VideoFacts, { width, height, fit }: ClipAim): string {
  const size = `${from.width}x${from.height}`;
  if (from.width === width && from.height === height) return size;
  const shape = (width * from.height) / (height * from.width);
  if (fit === 'letterbox') return `${size} fitted into ${width}x${height} with black bars`;
  const how = Math.abs(shape - 1) < 0.02 ? 'made' : shape > 1 ? 'stretched to' : 'squeezed to';
  return `${size} ${how} ${width}x${height}`;
}

function rates({ staticVideo, handVideo }: ClipSources): string | undefined {
  if (Math.abs(staticVideo.fps / handVideo.fps - 1) < 0.02) return undefined;
  return `the static video has ${staticVideo.fps} frames a second and the hand video ${handVideo.fps}; frame goes with frame, whatever their times`;
}

function lengths({ staticVideo, handVideo }: ClipSources, { numFrames, fps }: ClipAim): string | undefined {
  const [scene, hands] = [staticVideo, handVideo].map((info) => Math.min(duration(info), numFrames / fps));
  if (Math.abs(scene - hands) < 1.5 / fps) return undefined;
  return `the hand video lasts ${seconds(duration(handVideo))} and the static video ${seconds(duration(staticVideo))}; the last frame of the shorter one is repeated`;
}

/** One line where the two differ in shape. */
export function shapes({
  staticVideo,
  handVideo,
}: Readonly<Record<keyof ClipSources, Pick<VideoFacts, 'height' | 'width'>>>): string | undefined {
  const ratio = (staticVideo.width * handVideo.height) / (staticVideo.height * handVideo.width);
  if (Math.abs(ratio - 1) < 0.02) return undefined;
  return `the hand video is ${handVideo.width}x${handVideo.height} and the static video ${staticVideo.width}x${staticVideo.height}; each is resized on its own, so hands will not lie where they should`;
}
