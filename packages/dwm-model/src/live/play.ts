/** A live run over recorded videos: block after block, two under way. */
import type { Video } from '../video/video.ts';
import type { DwmStream } from './stream.ts';

/** The videos of a run, played `times` times one after the other. */
export interface LiveSource {
  readonly staticVideo: Video;
  readonly handVideo: Video;
  readonly times: number;
  /** Whether the camera stands, whatever its frames say. */
  readonly still: boolean;
}

/** Options of `playVideos`. */
export interface PlayOptions {
  readonly signal?: AbortSignal | undefined;
  /** After every block: frames that are made, and those there will be. */
  readonly onFrames?: (made: number, total: number) => void;
}

/** Frames [first, first + count) of a video that is played again and again; past `end` its last one is repeated. */
function framesOf(video: Video, first: number, count: number, end: number): Video {
  const { frames, height, width } = video;
  const size = height * width * 3;
  const data = new Uint8Array(count * size);
  for (let i = 0; i < count; i++) {
    const at = Math.min(first + i, end - 1) % frames;
    data.set(video.data.subarray(at * size, (at + 1) * size), i * size);
  }
  return { data, frames: count, height, width };
}

/** Whether every frame is the one before the first. */
function stands(chunk: Video, before: Uint8Array): boolean {
  const size = before.length;
  return Array.from({ length: chunk.frames }, (_, i) => i * size).every((at) =>
    before.every((value, k) => chunk.data[at + k] === value),
  );
}

/** @throws what a push throws, when those before it have ended; the signal's reason when aborted. */
export async function playVideos(
  live: DwmStream,
  { staticVideo, handVideo, times, still }: LiveSource,
  { signal, onFrames }: PlayOptions = {},
): Promise<Video> {
  const { frames: once, height, width } = handVideo;
  const total = once * times;
  const size = height * width * 3;
  const data = new Uint8Array(total * size);
  let before = staticVideo.data.subarray(0, size);
  let [at, done] = [0, 0];
  let failure: unknown;
  const pending = new Set<Promise<void>>();
  while (at < total && failure === undefined) {
    await live.ready;
    if (signal?.aborted) failure ??= signal.reason;
    if (failure !== undefined) break;
    const count = live.nextFrames;
    const start = at;
    const scenery = framesOf(staticVideo, start, count, total);
    const moves = !still && !stands(scenery, before);
    before = scenery.data.subarray(-size);
    const push = live
      .push({ hands: framesOf(handVideo, start, count, total), ...(moves && { static: scenery }) }, signal)
      .then((made) => {
        const own = Math.min(count, total - start);
        data.set(made.data.subarray(0, own * size), start * size);
        done += own;
        onFrames?.(done, total);
      })
      .catch((error: unknown) => {
        failure ??= error;
      })
      .finally(() => pending.delete(push));
    pending.add(push);
    at += count;
  }
  await Promise.all(pending);
  if (failure !== undefined) throw failure;
  return { data, frames: total, height, width };
}
