/**
 * Clips as Wan's training takes them where they were not encoded before: frames one after another from a random start that
 * the three clips of a sample share, the last one repeated where there are too few, and one draw from each posterior.
 */
import { InvalidFileError, philox4x32, randomReference } from '@dwm/core-tensor';
import type { ReadClip } from '../../node/training/encoder.ts';
import type { Clip, ClipSize } from '../../pipeline/clip.ts';
import { resizeAntialiased } from '../../training/data/antialiased.ts';
import { type ClipCodec, samplePosterior } from '../../vae/index.ts';

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

/** Bytes [frames, height, width, 3] as [3, frames, height, width] in [-1, 1]. */
function normalised(clip: Clip, size: ClipSize): Float32Array {
  const resized = resizeAntialiased(clip.data, clip, size);
  const pixels = size.frames * size.height * size.width;
  const out = new Float32Array(3 * pixels);
  for (let i = 0; i < pixels; i++)
    for (let c = 0; c < 3; c++) out[c * pixels + i] = resized[3 * i + c] / 127.5 - 1;
  return out;
}

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
    readonly size: ClipSize;
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
    const posterior = await vae.encode(normalised(clip, size), [1, 3, size.frames, size.height, size.width]);
    const normals = {
      count: posterior.mean.length,
      distribution: 'normal',
      stream: (3 * position + i) >>> 0,
    } as const;
    const noise = Float32Array.from(randomReference(normals, [seed >>> 0, KEYS.draw]));
    latents.push(samplePosterior(posterior, noise));
  }
  const [video, still, hand] = latents;
  return { video, static: still, hand };
}
