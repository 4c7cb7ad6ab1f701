/** Which frames of a clip are read: what is known of it beforehand, and how frames are named. */
import { InvalidArgumentError } from '@dwm/core-tensor';

/** What is known before decoding. Sizes are those of the upright picture with square pixels. */
export interface VideoInfo {
  frames: number;
  height: number;
  width: number;
  /** Mean rate, frames per second. */
  fps: number;
  /** Presentation times of the frames, seconds, ascending. */
  timestamps: number[];
  /** Seconds that the last frame is shown. */
  lastDuration: number;
  /** What WebCodecs calls its codec, e.g. `avc1.64001f`; of a folder of pictures, `pictures`. */
  codec: string;
  /** Width of a pixel in the file by its height; where that is not 1, frames are resampled. */
  pixelAspect: number;
  /** The curve of a picture with more than the usual range of light. */
  hdr?: 'PQ' | 'HLG';
}

/**
 * One line about a video whose pixels are not taken as they are meant: not square ones, with the size that it is read
 * at, or light of another range. Undefined for any other.
 */
export function pixelRemark(
  name: string,
  { pixelAspect, height, width, hdr }: VideoInfo,
): string | undefined {
  const remarks: string[] = [];
  if (Math.abs(pixelAspect - 1) >= 1e-3) {
    const shape =
      pixelAspect > 1
        ? `${Number(pixelAspect.toFixed(2))} times as wide as high`
        : `${Number((1 / pixelAspect).toFixed(2))} times as high as wide`;
    remarks.push(`its pixels are ${shape}; it is read as ${width}x${height} with square ones`);
  }
  if (hdr) remarks.push(`it is HDR (${hdr}) and read as it is, which looks pale; record or export it as SDR`);
  return remarks.length > 0 ? `${name}: ${remarks.join('; ')}` : undefined;
}

/** Frame numbers to read, ascending, repeats allowed; or how to choose them once the clip is known. */
export type FrameIndices = readonly number[] | ((info: VideoInfo) => readonly number[]);

/**
 * Frame numbers that resample a clip to `fps`: for each tick k / fps from the first frame on, the frame nearest
 * in time (the earlier one on a tie). At most `maxFrames`, and never past the clip's end.
 */
export function indicesAtRate(info: VideoInfo, fps: number, maxFrames = Number.POSITIVE_INFINITY): number[] {
  if (!(fps > 0)) throw new InvalidArgumentError('fps', `must be above 0, got ${fps}`);
  const { timestamps } = info;
  const first = timestamps[0];
  const duration = timestamps[timestamps.length - 1] - first + 1 / info.fps;
  const ticks = Math.min(maxFrames, Math.max(1, Math.floor(duration * fps + 1e-6)));
  const indices: number[] = [];
  let index = 0;
  for (let tick = 0; tick < ticks; tick++) {
    const time = first + tick / fps;
    const distance = (i: number) => Math.abs(timestamps[i] - time);
    while (index + 1 < timestamps.length && distance(index + 1) < distance(index) - 1e-9) index++;
    indices.push(index);
  }
  return indices;
}

/** Frames of a clip, and their rate. */
export interface ClipTime {
  readonly frames: number;
  readonly fps: number;
}

/**
 * The frames of a video for a clip that shows it at its own speed: the first ones, nearest in time to the clip's, and
 * the last one repeated where the video ends before the clip.
 */
export function framesInTime(info: VideoInfo, { frames, fps }: ClipTime): number[] {
  const indices = indicesAtRate(info, fps, frames);
  return indices.concat(Array<number>(frames - indices.length).fill(info.frames - 1));
}

/** `framesInTime`, but all frames of a video that has exactly so many, whatever their rate: the original's way. */
export function clipIndices(info: VideoInfo, time: ClipTime): number[] {
  return info.frames === time.frames ? info.timestamps.map((_, index) => index) : framesInTime(info, time);
}

/**
 * The first frames of videos that go together, whatever their rates: as many as the shortest of them has, then the last
 * of these again.
 */
export function firstFrames(
  videos: readonly Pick<VideoInfo, 'frames'>[],
  frames: number,
): { readonly first: number; readonly indices: number[] } {
  const first = Math.min(frames, ...videos.map((video) => video.frames));
  return { first, indices: Array.from({ length: frames }, (_, i) => Math.min(i, first - 1)) };
}

/** Mean rate of ascending times in seconds; `single` where there is no interval to measure. */
export function rateOf(timestamps: readonly number[], single: number): number {
  const span = timestamps[timestamps.length - 1] - timestamps[0];
  const rate = span > 0 ? (timestamps.length - 1) / span : single;
  return Math.round(rate * 1e6) / 1e6;
}

/** @throws InvalidArgumentError for numbers outside the clip, or not ascending. */
export function resolveIndices(info: VideoInfo, indices: FrameIndices | undefined): readonly number[] {
  if (indices === undefined) return info.timestamps.map((_, index) => index);
  const list = typeof indices === 'function' ? indices(info) : indices;
  if (list.length === 0) throw new InvalidArgumentError('indices', 'is empty, expected at least one frame');
  list.forEach((index, i) => {
    if (!Number.isInteger(index) || index < 0 || index >= info.frames) {
      throw new InvalidArgumentError('indices', `frame ${index} does not exist, the clip has ${info.frames}`);
    }
    if (i > 0 && index < list[i - 1]) {
      throw new InvalidArgumentError('indices', `must ascend, but ${index} follows ${list[i - 1]}`);
    }
  });
  return list;
}
