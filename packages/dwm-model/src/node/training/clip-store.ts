/** Decoded clips at the size of training, kept in memory as bytes as far as they fit. */
import type { Device } from '@dwm/core-tensor';
import { prepareTrainingClip, trainingFrames } from '../../training/data/training-clip.ts';
import type { Video, VideoSize } from '../../video/video.ts';
import type { ReadClip } from './encoder.ts';

const KEPT_BYTES = 1 << 30;

export class ClipStore {
  readonly #device: Device;
  readonly #readClip: ReadClip;
  readonly #size: VideoSize;
  /** The one used last is the last one. */
  readonly #clips = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(device: Device, readClip: ReadClip, size: VideoSize) {
    this.#device = device;
    this.#readClip = readClip;
    this.#size = size;
  }

  /** [frames, height, width, 3], 0 to 255. */
  async load(video: string): Promise<Uint8Array> {
    const known = this.#clips.get(video);
    if (known) {
      this.#clips.delete(video);
      this.#clips.set(video, known);
      return known;
    }
    const clip = await this.#decode(video);
    this.#clips.set(video, clip);
    this.#bytes += clip.length;
    for (const [oldest, { length }] of this.#clips) {
      if (this.#bytes <= KEPT_BYTES) break;
      this.#clips.delete(oldest);
      this.#bytes -= length;
    }
    return clip;
  }

  /** As `load`. */
  async video(path: string): Promise<Video> {
    return { ...this.#size, data: await this.load(path) };
  }

  async #decode(video: string): Promise<Uint8Array> {
    return (await readTrainingClip(this.#device, this.#readClip, video, this.#size)).data;
  }
}

/** A video as training loads it, rounded to bytes as a file of this size would hold them. */
export async function readTrainingClip(
  device: Device,
  readClip: ReadClip,
  video: string,
  size: VideoSize,
): Promise<Video> {
  const { frames, height, width } = size;
  const clip = await readClip(video, (count) => trainingFrames(count, frames));
  if (clip.frames === frames && clip.height === height && clip.width === width) {
    return { ...size, data: Uint8Array.from(clip.data) };
  }
  const prepared = await prepareTrainingClip(device, clip, size);
  const data = Uint8Array.from(prepared, (value) => Math.round((value + 1) * 127.5));
  return { ...size, data };
}
