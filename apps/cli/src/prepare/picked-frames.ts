/** Which frames of the video the clip is made of, and where they go in it; and what that means for videos beside it. */
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { type VideoInfo, videoInfo } from '@dwm/media/node';
import { sayPixels } from '../generate/clip-inputs.ts';
import { framesAtRate, type Placement, placementOf, ticksFilled } from '../render/fixed-camera.ts';
import type { Reporter } from '../report.ts';
import type { Flags } from './flags.ts';
import type { ClipSource } from './source.ts';

export interface PickedFrames {
  readonly video: string;
  readonly source: VideoInfo;
  /** Frames of the video that could be taken. */
  readonly available: number;
  /** Those that the clip is made of; the last one again and again where the video is short. */
  readonly picked: readonly number[];
  /** Theirs, seconds after the first frame of the video. */
  readonly times: readonly number[];
  readonly placement: Placement;
}

/** @throws InvalidFileError or InvalidArgumentError where no frame is left. */
export async function pickClip(
  { video, part }: Pick<ClipSource, 'video' | 'part'>,
  flags: Flags,
  reporter: Reporter,
): Promise<PickedFrames> {
  const info = await videoInfo(video);
  sayPixels(video, info, reporter);
  const [begin, end] = framesOfPart(video, info, part);
  const timestamps = info.timestamps.slice(begin, end);
  const lastDuration = end < info.frames ? info.timestamps[end] - timestamps.at(-1)! : info.lastDuration;
  const picked = pickFrames(video, timestamps, lastDuration, flags, reporter).map((index) => index + begin);
  const placement = placementOf(info, flags, flags.resize);
  return {
    video,
    source: info,
    available: end - begin,
    picked,
    times: picked.map((index) => info.timestamps[index] - info.timestamps[begin]),
    placement,
  };
}

/**
 * Frames of a video, or of another recording, that the clip is made of, by their number.
 * @throws InvalidArgumentError where none is left.
 */
export function pickFrames(
  file: string,
  seconds: readonly number[],
  lastDuration: number,
  { fps, frames, startFrame }: Pick<Flags, 'fps' | 'frames' | 'startFrame'>,
  reporter: Reporter,
): number[] {
  const timestamps = seconds.slice(startFrame);
  if (timestamps.length === 0)
    throw new InvalidArgumentError('start-frame', `${file} has ${seconds.length} frames, expected less`);
  const picked = framesAtRate(timestamps, lastDuration, fps, frames).map((index) => index + startFrame);
  const filled = ticksFilled(timestamps, lastDuration, fps);
  if (filled < frames)
    reporter.warn(
      `${file} fills ${filled} of ${frames} frames at ${fps} a second; its frame ${picked.at(-1)} is repeated for the rest (--frames ${filled} ends with it)`,
    );
  return picked;
}

/** The frames of a part of the video: the first, and the first after it. @throws InvalidFileError where none is. */
function framesOfPart(
  video: string,
  { timestamps, fps }: VideoInfo,
  part: ClipSource['part'],
): [begin: number, end: number] {
  if (!part) return [0, timestamps.length];
  const at = (seconds: number) =>
    timestamps.filter((time) => time - timestamps[0] < seconds - 0.5 / fps).length;
  const [begin, end] = [at(part.from), part.to === undefined ? timestamps.length : at(part.to)];
  if (end > begin) return [begin, end];
  throw new InvalidFileError(
    video,
    `has no frame from ${part.from} to ${part.to} s, where the data set says that the episode is; fetch it again`,
  );
}

/**
 * Where something beside the video goes: with the video where it has its shape, over the whole clip where it has the clip's.
 * @throws InvalidFileError for another shape.
 */
export function placementBeside(
  file: string,
  { width, height }: { readonly width: number; readonly height: number },
  { source, placement }: PickedFrames,
  flags: Flags,
): Placement {
  const isLike = (other: { readonly width: number; readonly height: number }) =>
    Math.abs((width * other.height) / (height * other.width) - 1) < 0.01;
  if (isLike(source)) return placement;
  if (isLike(flags)) return placementOf({ width, height }, flags, 'crop');
  throw new InvalidFileError(
    file,
    `is of ${width}x${height} pixels, expected the shape of the video (${source.width}x${source.height}) or of the clip (${flags.width}x${flags.height})`,
  );
}

/** Whether something of this rate is cut to the clip already, rather than running beside the whole video. */
export const isReady = (rate: number, { fps }: Flags) => Math.abs(rate - fps) < 0.01 * fps;

/** Frames of a video that is cut to the clip, or runs beside the whole video; fewer where it ends before. */
export function framesBeside(
  { timestamps, lastDuration, fps }: VideoInfo,
  chosen: PickedFrames,
  flags: Flags,
): number[] {
  const end = timestamps.at(-1)! - timestamps[0] + lastDuration;
  const wanted = isReady(fps, flags) ? chosen.times.map((_, i) => i / flags.fps) : chosen.times;
  let index = 0;
  return wanted
    .filter((time) => time < end)
    .map((time) => {
      const distance = (i: number) => Math.abs(timestamps[i] - timestamps[0] - time);
      while (index + 1 < timestamps.length && distance(index + 1) < distance(index)) index++;
      return index;
    });
}
