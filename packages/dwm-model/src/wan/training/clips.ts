/**
 * Clips as Wan's training takes them where they were not encoded before: frames one after another from a random start that
 * the three clips of a sample share, the last one repeated where there are too few, and one draw from each posterior.
 */
import { DeviceTensor, InvalidFileError, philox4x32 } from '@dwm/core-tensor';
import type { ReadClip } from '../../node/training/encoder.ts';
import { resizeAntialiased } from '../../training/data/antialiased.ts';
import type { ClipCodec } from '../../vae/index.ts';
import { drawnLatents } from '../../video/codec.ts';
import type { Video, VideoSize } from '../../video/video.ts';

const KEYS = { start: 0x57414e32, draw: 0x57414e33 };

/** Paths of a sample's clips. */
export interface WanClips {
  readonly video: string;
  readonly static: string;
  readonly hand: string;
}
const NAMES = ['video', 'static', 'hand'] as const;

/** Frames of a clip of `count` that training takes, `most` of them, from `share` of the way to the last start. */
export function consecutiveFrames(count: number, most: number, share: number): number[] {
  const start = Math.floor(share * (Math.max(0, count - most) + 1));
  return Array.from({ length: most }, (_, i) => Math.min(count - 1, start + i));
}

/** Bytes [frames, height, width, 3] as values in [-1, 1], at the size of training. */
const normalised = (clip: Video, size: VideoSize): Float32Array =>
  Float32Array.from(resizeAntialiased(clip.data, clip, size), (value) => value / 127.5 - 1);

/**
 * Latents [C, latent frames, h, w] of the clips of the run's `position`-th sample.
 * @throws InvalidFileError where the clips of a sample have other lengths; one frame alone stands for a scene at rest.
 */
export async function encodeWanClips(
  clips: WanClips,
  position: number,
  {
    seed,
    size,
    vae,
    readClip,
  }: {
    readonly seed: number;
    readonly size: VideoSize;
    readonly vae: ClipCodec;
    readonly readClip: ReadClip;
  },
): Promise<Record<(typeof NAMES)[number], Float32Array>> {
  const [word] = philox4x32([position >>> 0, Math.floor(position / 2 ** 32), 0, 0], [seed >>> 0, KEYS.start]);
  const share = word / 2 ** 32;
  let length: { readonly path: string; readonly count: number } | undefined;
  const latents: Float32Array[] = [];
  for (const [i, name] of NAMES.entries()) {
    const path = clips[name];
    const clip = await readClip(path, (count) => {
      if (count > 1) {
        length ??= { path, count };
        if (length.count !== count) {
          throw new InvalidFileError(
            path,
            `has ${count} frames, but ${length.path} has ${length.count}; clips of one sample must show the same moments`,
            { frames: count, expected: length.count },
          );
        }
      }
      return consecutiveFrames(count, size.frames, share);
    });
    const shape = [1, size.frames, size.height, size.width, 3];
    const up = DeviceTensor.from(vae.device, normalised(clip, size), shape, 'f32', 'video');
    const posterior = await vae.encode(up).finally(() => up.destroy());
    const stream = (3 * position + i) >>> 0;
    latents.push((await drawnLatents(vae.device, posterior, [seed >>> 0, KEYS.draw], stream)).values);
  }
  const [video, still, hand] = latents;
  return { video, static: still, hand };
}
