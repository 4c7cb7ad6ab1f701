/** Videos of another size than the run's, a few frames at a time. */
import type { Device } from '@dwm/core-tensor';
import { toBytes, toDevice, type Video } from '@dwm/dwm-model';

const FRAMES = 16;

/** The video at `size`: as `generate` has it, nearest pixels; the video itself where it has that size. */
export async function atSize(
  device: Device,
  video: Video,
  size: { readonly height: number; readonly width: number },
): Promise<Video> {
  if (video.height === size.height && video.width === size.width) return video;
  const [from, to] = [video, size].map(({ height, width }) => height * width * 3);
  const data = new Uint8Array(video.frames * to);
  for (let first = 0; first < video.frames; first += FRAMES) {
    const frames = Math.min(FRAMES, video.frames - first);
    const part = { ...video, frames, data: video.data.subarray(first * from, (first + frames) * from) };
    const up = await toDevice(device, part, { ...size, frames });
    data.set((await toBytes(up).finally(() => up.destroy())).data, first * to);
  }
  return { data, frames: video.frames, ...size };
}
