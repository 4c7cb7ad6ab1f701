/** A live run over recorded frames: block after block, two under way, with what it took. */
import type { Device } from '@dwm/core-tensor';
import type { DwmStream, Video } from '@dwm/dwm-model';

/** What a run took. */
export interface LiveRates {
  readonly frames: number;
  readonly blockFrames: number;
  /** From the first push to its frames. */
  readonly firstSeconds: number;
  /** Of the frames after the first block. */
  readonly framesPerSecond: number;
  /** Of one frame after the first block, while the camera stands. */
  readonly flopsPerFrame: number;
  readonly bytesPerFrame: number;
  /** Device memory between blocks: after the second and after the last. */
  readonly deviceBytes: readonly [number, number];
  readonly peakDeviceBytes: number;
  /** Memory of the process likewise, with the frames that it keeps. */
  readonly processBytes: readonly [number, number];
}

/** The videos of a run, played `times` times one after the other. */
export interface LiveSource {
  readonly staticVideo: Video;
  readonly handVideo: Video;
  readonly times: number;
  /** Whether the camera stands, whatever its frames say. */
  readonly still: boolean;
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

/** @param onFrames is told how many are made. */
export async function runLive(
  device: Device,
  live: DwmStream,
  { staticVideo, handVideo, times, still }: LiveSource,
  signal: AbortSignal,
  onFrames: (made: number, total: number) => void,
): Promise<{ made: Video; rates: LiveRates }> {
  const { frames: once, height, width } = handVideo;
  const total = once * times;
  const size = height * width * 3;
  const data = new Uint8Array(total * size);
  let before = staticVideo.data.subarray(0, size);
  let [at, done, blocks, afterFirst, firstSeconds] = [0, 0, 0, 0, 0];
  const memory: [number, number][] = [];
  const started = performance.now();
  let failure: unknown;
  const pending = new Set<Promise<void>>();
  while (at < total && failure === undefined) {
    await live.ready;
    signal.throwIfAborted();
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
        if (++blocks === 1) {
          firstSeconds = (performance.now() - started) / 1000;
          afterFirst = done;
        }
        memory.push([device.memory.allocated, process.memoryUsage.rss()]);
        onFrames(done, total);
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
  const seconds = (performance.now() - started) / 1000;
  const { flops, bytes } = live.cost;
  const blockFrames = live.nextFrames;
  const [early, late] = [memory[Math.min(1, memory.length - 1)], memory.at(-1)!];
  return {
    made: { data, frames: total, height, width },
    rates: {
      ...{ frames: total, blockFrames, firstSeconds },
      framesPerSecond: done > afterFirst ? (done - afterFirst) / (seconds - firstSeconds) : 0,
      flopsPerFrame: flops / blockFrames,
      bytesPerFrame: bytes / blockFrames,
      deviceBytes: [early[0], late[0]],
      peakDeviceBytes: device.memory.peak,
      processBytes: [early[1], late[1]],
    },
  };
}
