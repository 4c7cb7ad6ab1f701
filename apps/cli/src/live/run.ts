/** What a live run over recorded frames took. */
import type { Device } from '@dwm/core-tensor';
import type { Video } from '@dwm/dwm-model';
import { type DwmStream, type LiveSource, playVideos } from '@dwm/dwm-model/live';

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

/** @param onFrames is told how many are made. */
export async function runLive(
  device: Device,
  live: DwmStream,
  source: LiveSource,
  signal: AbortSignal,
  onFrames: (made: number, total: number) => void,
): Promise<{ made: Video; rates: LiveRates }> {
  const started = performance.now();
  let [done, afterFirst, firstSeconds] = [0, 0, 0];
  const memory: [number, number][] = [];
  const made = await playVideos(live, source, {
    signal,
    onFrames: (frames, total) => {
      if (done === 0) {
        firstSeconds = (performance.now() - started) / 1000;
        afterFirst = frames;
      }
      done = frames;
      memory.push([device.memory.allocated, process.memoryUsage.rss()]);
      onFrames(done, total);
    },
  });
  const seconds = (performance.now() - started) / 1000;
  const { flops, bytes } = live.cost;
  const blockFrames = live.nextFrames;
  const [early, late] = [memory[Math.min(1, memory.length - 1)], memory.at(-1)!];
  return {
    made,
    rates: {
      ...{ frames: made.frames, blockFrames, firstSeconds },
      framesPerSecond: done > afterFirst ? (done - afterFirst) / (seconds - firstSeconds) : 0,
      flopsPerFrame: flops / blockFrames,
      bytesPerFrame: bytes / blockFrames,
      deviceBytes: [early[0], late[0]],
      peakDeviceBytes: device.memory.peak,
      processBytes: [early[1], late[1]],
    },
  };
}
