/**
 * Video files to RGB frames. Everything is built on one stream of frames in presentation order: a frame is
 * converted only when asked for, so a long clip can be sampled without being held, and `readVideo` writes each
 * frame straight into its place in the result. The packet table is read first; it gives the frame count, the
 * times, and a way to see a truncated file before decoding it.
 */
import { DwmError, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import {
  BlobSource,
  EncodedPacketSink,
  Input,
  type InputVideoTrack,
  MATROSKA,
  MP4,
  QTFF,
  type Source,
  type VideoSample,
  VideoSampleSink,
  WEBM,
} from 'mediabunny';
import { holdEventLoop } from './event-loop.ts';
import type { Frames } from './frames.ts';
import { SampleReader, uprightSize } from './pixels.ts';

/** Where bytes come from, and the name that errors use for it. A path in Node becomes one of these. */
export interface VideoSource {
  name: string;
  source: Source;
}

/** What is known before decoding. Sizes are those of the upright picture. */
export interface VideoInfo {
  frames: number;
  height: number;
  width: number;
  /** Mean rate, frames per second. */
  fps: number;
  /** Presentation times of the frames, seconds, ascending. */
  timestamps: number[];
}

/** Frame numbers to read, ascending, repeats allowed; or how to choose them once the clip is known. */
export type FrameIndices = readonly number[] | ((info: VideoInfo) => readonly number[]);

/** One frame of a stream, valid until the next one is asked for. */
export interface DecodedFrame {
  index: number;
  /** Presentation time, seconds. */
  timestamp: number;
  height: number;
  width: number;
  /** Converts to RGB [height, width, 3], into `target` if given. */
  rgb(target?: Uint8Array): Promise<Uint8Array>;
}

const reencode =
  'copy the file again, or re-encode it: ffmpeg -i in.mp4 -c:v libx264 -pix_fmt yuv420p out.mp4';

/** Frame count, size, rate and times, without decoding. Throws InvalidFileError as `decodeFrames` does. */
export async function videoInfo(source: Blob | VideoSource): Promise<VideoInfo> {
  return withVideo(source, async ({ info }) => info);
}

/**
 * Streams frames in presentation order: all of them, or those of `indices`. Untagged files are BT.601 limited
 * range; tagged ones follow their tags; rotation is applied.
 * @throws InvalidFileError if it is not a video, has no frames, is truncated or damaged, or its codec cannot be
 * decoded here; InvalidArgumentError for indices outside the clip or not ascending.
 */
export async function* decodeFrames(
  source: Blob | VideoSource,
  options: { indices?: FrameIndices } = {},
): AsyncGenerator<DecodedFrame, void, undefined> {
  const release = holdEventLoop();
  const video = await openVideo(source).catch((error) => {
    release();
    throw error;
  });
  try {
    yield* framesOf(video, resolveIndices(video.info, options.indices));
  } finally {
    video.input.dispose();
    release();
  }
}

/**
 * Reads a clip, or `indices` of it, into memory: [frames, height, width, 3]. `fps` is the rate of the frames
 * that were taken, so every third frame of a 30 fps clip is a 10 fps clip. Throws as `decodeFrames` does.
 */
export async function readVideo(
  source: Blob | VideoSource,
  options: { indices?: FrameIndices; onProgress?: (done: number, total: number) => void } = {},
): Promise<Frames> {
  return withVideo(source, async (video) => {
    const indices = resolveIndices(video.info, options.indices);
    let clip: Frames | undefined;
    let done = 0;
    for await (const frame of framesOf(video, indices)) {
      const bytes = frame.height * frame.width * 3;
      clip ??= {
        data: new Uint8Array(indices.length * bytes),
        frames: indices.length,
        height: frame.height,
        width: frame.width,
        fps: rateOf(
          indices.map((index) => video.info.timestamps[index]),
          video.info.fps,
        ),
      };
      await frame.rgb(clip.data.subarray(done * bytes, (done + 1) * bytes));
      done++;
      options.onProgress?.(done, indices.length);
    }
    return clip!;
  });
}

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

interface OpenVideo {
  name: string;
  input: Input;
  track: InputVideoTrack;
  info: VideoInfo;
}

async function withVideo<T>(source: Blob | VideoSource, use: (video: OpenVideo) => Promise<T>): Promise<T> {
  const release = holdEventLoop();
  let video: OpenVideo | undefined;
  try {
    video = await openVideo(source);
    return await use(video);
  } finally {
    video?.input.dispose();
    release();
  }
}

async function openVideo(given: Blob | VideoSource): Promise<OpenVideo> {
  const { name, source } =
    given instanceof Blob
      ? { name: (given as Partial<File>).name ?? 'video', source: new BlobSource(given) }
      : given;
  if (typeof VideoDecoder === 'undefined') {
    throw new DwmError(
      'no-webcodecs',
      'VideoDecoder is missing: use a browser with WebCodecs over https, or @dwm/media/node',
    );
  }
  const input = new Input({ source, formats: [MP4, QTFF, WEBM, MATROSKA] });
  try {
    if (given instanceof Blob && given.size === 0) {
      throw new InvalidFileError(name, 'is empty (0 bytes), expected a video; copy the file again');
    }
    if (!(await input.canRead())) {
      throw new InvalidFileError(
        name,
        'is not a video this program reads, expected MP4, MOV, WebM or MKV; convert it: ffmpeg -i in out.mp4',
      );
    }
    const track = await input.getPrimaryVideoTrack();
    if (!track) {
      throw new InvalidFileError(name, `holds no video track: it is truncated, or only sound; ${reencode}`);
    }
    if (!(await track.canDecode())) {
      const codec = (await track.getCodecParameterString()) ?? 'unknown codec';
      throw new InvalidFileError(name, `its codec (${codec}) cannot be decoded here; ${reencode}`, { codec });
    }
    return { name, input, track, info: await readInfo(name, track) };
  } catch (error) {
    input.dispose();
    throw asFileError(name, error);
  }
}

async function readInfo(name: string, track: InputVideoTrack): Promise<VideoInfo> {
  const sink = new EncodedPacketSink(track);
  const timestamps: number[] = [];
  let lastDuration = 0;
  for await (const packet of sink.packets(undefined, undefined, { metadataOnly: true })) {
    lastDuration = packet.duration;
    // An edit list puts what it cuts off before time 0.
    if (packet.timestamp + packet.duration > 1e-9 || packet.duration === 0) timestamps.push(packet.timestamp);
  }
  timestamps.sort((a, b) => a - b);
  if (timestamps.length === 0) throw new InvalidFileError(name, `holds no video frames; ${reencode}`);
  const turned = (await track.getRotation()) % 180 !== 0;
  const codedHeight = await track.getCodedHeight();
  const codedWidth = await track.getCodedWidth();
  return {
    frames: timestamps.length,
    height: turned ? codedWidth : codedHeight,
    width: turned ? codedHeight : codedWidth,
    fps: rateOf(timestamps, lastDuration > 0 ? 1 / lastDuration : 1),
    timestamps,
  };
}

/** Mean rate of ascending times in seconds; `single` where there is no interval to measure. */
function rateOf(timestamps: readonly number[], single: number): number {
  const span = timestamps[timestamps.length - 1] - timestamps[0];
  const rate = span > 0 ? (timestamps.length - 1) / span : single;
  return Math.round(rate * 1e6) / 1e6;
}

function resolveIndices(info: VideoInfo, indices: FrameIndices | undefined): readonly number[] {
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

async function* framesOf(
  video: OpenVideo,
  indices: readonly number[],
): AsyncGenerator<DecodedFrame, void, undefined> {
  const { name, track, info } = video;
  const { timestamps } = info;
  // Asking for a time inside the frame, not for its first instant, keeps rounding from choosing a neighbour.
  const insideFrame = (index: number) =>
    index + 1 < timestamps.length
      ? (timestamps[index] + timestamps[index + 1]) / 2
      : timestamps[index] + 1e-6;
  const sink = new VideoSampleSink(track);
  const everyFrame = indices.length === info.frames && indices.every((index, i) => index === i);
  // Only the timed form skips groups of pictures; only the plain form shows every frame that decodes.
  const samples: AsyncGenerator<VideoSample | null> = everyFrame
    ? sink.samples(timestamps[0])
    : sink.samplesAtTimestamps(indices.map(insideFrame));
  let done = 0;
  let size: { height: number; width: number } | undefined;
  try {
    const reader = new SampleReader(await track.getColorSpace());
    for await (const sample of samples) {
      if (sample === null) break;
      try {
        const { height, width } = uprightSize(sample);
        size ??= { height, width };
        if (height !== size.height || width !== size.width) {
          throw new InvalidFileError(
            name,
            `frame size changes from ${size.height}x${size.width} to ${height}x${width}; ${reencode}`,
          );
        }
        if (done === indices.length) break;
        yield {
          index: indices[done++],
          timestamp: sample.timestamp,
          height,
          width,
          rgb: async (target = new Uint8Array(height * width * 3)) => {
            await reader.rgb(sample, target).catch((error) => {
              throw asFileError(name, error);
            });
            return target;
          },
        };
      } finally {
        sample.close();
      }
    }
  } catch (error) {
    throw asFileError(name, error);
  }
  if (done < indices.length) {
    throw new InvalidFileError(
      name,
      `decoded ${done} of ${indices.length} frames: it is truncated or damaged; ${reencode}`,
      { decoded: done, expected: indices.length },
    );
  }
}

/** Errors of the demuxer and the decoder speak of their insides; ours name the file and the way out. */
function asFileError(name: string, error: unknown): unknown {
  if (error instanceof InvalidFileError || error instanceof InvalidArgumentError) return error;
  const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0];
  if (error instanceof DwmError) return new InvalidFileError(name, reason, { cause: error.code });
  return new InvalidFileError(name, `cannot be decoded (${reason}): it is truncated or damaged; ${reencode}`);
}
