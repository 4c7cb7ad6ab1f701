/** Bytes of a video of another size than the run's. */
import type { Device } from '@dwm/core-tensor';
import { type Fit, toBytes, toDevice } from './transfer.ts';
import type { Video, VideoSize } from './video.ts';

/** That are on the device at a time. */
const FRAMES = 16;

/** The video at `size`, as `toDevice` makes it; the video itself where it has that size. */
export async function atSize(device: Device, video: Video, size: VideoSize, fit?: Fit): Promise<Video> {
  const { frames, height, width } = size;
  if (video.frames === frames && video.height === height && video.width === width) return video;
  const resize = async (part: Video, to: number) => {
    const up = await toDevice(device, part, { ...size, frames: to }, fit);
    return (await toBytes(up).finally(() => up.destroy())).data;
  };
  // Every frame of a longer or shorter video is made of several.
  if (video.frames !== frames) return { ...size, data: await resize(video, frames) };
  const [from, to] = [video, size].map((one) => one.height * one.width * 3);
  const data = new Uint8Array(frames * to);
  for (let first = 0; first < frames; first += FRAMES) {
    const count = Math.min(FRAMES, frames - first);
    const part = { ...video, frames: count, data: video.data.subarray(first * from, (first + count) * from) };
    data.set(await resize(part, count), first * to);
  }
  return { ...size, data };
}
