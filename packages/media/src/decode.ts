/**
 * Videos to RGB frames. Everything is built on one stream of frames in presentation order: a frame is converted only
 * when asked for, so a long clip can be sampled without being held, and `readVideo` writes each frame straight into its
 * place in the result.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { BlobSource } from 'mediabunny';
import { holdEventLoop } from './event-loop.ts';
import { type FrameIndices, pixelRemark, rateOf, resolveIndices, type VideoInfo } from './frame-choice.ts';
import type { Frames } from './frames.ts';
import { type DecodedFrame, type OpenVideo, openVideoFile, type VideoSource } from './video-file.ts';

/** A video to open: of a browser, of Node, or already open. */
export type VideoInput = Blob | VideoSource | OpenVideo;

/** Frame count, size, rate and times, without decoding. Throws InvalidFileError as `decodeFrames` does. */
export async function videoInfo(source: VideoInput): Promise<VideoInfo> {
  return withVideo(source, async ({ info }) => info);
}

/**
 * Streams frames in presentation order: all of them, or those of `indices`. Untagged files are BT.601 limited
 * range; tagged ones follow their tags; rotation, edit lists and the shape of pixels are applied.
 * @throws InvalidFileError if it is not a video, has no frames, is truncated or damaged, or its codec cannot be
 * decoded here; InvalidArgumentError for indices outside the clip or not ascending.
 */
export async function* decodeFrames(
  source: VideoInput,
  options: { indices?: FrameIndices } = {},
): AsyncGenerator<DecodedFrame, void, undefined> {
  const release = holdEventLoop();
  let video: OpenVideo | undefined;
  try {
    video = await open(source);
    yield* video.frames(resolveIndices(video.info, options.indices));
  } finally {
    video?.close();
    release();
  }
}

interface ReadOptions {
  readonly indices?: FrameIndices;
  readonly onProgress?: (done: number, total: number) => void;
  /** Is told in a line where the pixels are not taken as they are meant: see `pixelRemark`. */
  readonly warn?: (line: string) => void;
}

/**
 * Reads a clip, or `indices` of it, into memory: [frames, height, width, 3]. `fps` is the rate of the frames
 * that were taken, so every third frame of a 30 fps clip is a 10 fps clip. Throws as `decodeFrames` does.
 */
export async function readVideo(source: VideoInput, options: ReadOptions = {}): Promise<Frames> {
  return withVideo(source, async (video) => {
    const remark = pixelRemark(video.name, video.info);
    if (remark) options.warn?.(remark);
    const indices = resolveIndices(video.info, options.indices);
    let clip: Frames | undefined;
    let done = 0;
    for await (const frame of video.frames(indices)) {
      const bytes = frame.height * frame.width * 3;
      clip ??= {
        data: allocate(video.name, indices.length, frame),
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

function allocate(name: string, frames: number, { height, width }: DecodedFrame): Uint8Array {
  const bytes = frames * height * width * 3;
  try {
    return new Uint8Array(bytes);
  } catch {
    throw new InvalidFileError(
      name,
      `${frames} frames of ${width}x${height} take ${(bytes / 1e9).toFixed(1)} GB of memory at once; make it shorter or smaller, e.g. ffmpeg -i in.mp4 -t 10 -vf scale=720:-2 out.mp4`,
      { bytes },
    );
  }
}

async function withVideo<T>(source: VideoInput, use: (video: OpenVideo) => Promise<T>): Promise<T> {
  const release = holdEventLoop();
  let video: OpenVideo | undefined;
  try {
    video = await open(source);
    return await use(video);
  } finally {
    video?.close();
    release();
  }
}

async function open(given: VideoInput): Promise<OpenVideo> {
  if (given instanceof Blob) return openVideoFile(blobSource(given));
  return 'info' in given ? given : openVideoFile(given);
}

function blobSource(blob: Blob): VideoSource {
  return {
    name: (blob as Partial<File>).name ?? 'video',
    size: blob.size,
    read: async (from, to) => new Uint8Array(await blob.slice(from, to).arrayBuffer()),
    demuxer: (size) => new BlobSource(size === blob.size ? blob : blob.slice(0, size)),
  };
}
