/**
 * Clips as Wan's training takes them where they were not encoded before: frames one after another from a random start that
 * the three clips of a sample share, the last one repeated where there are too few, and one draw from each posterior.
 */
import { philox4x32 } from '@dwm/core-tensor';
import { CLIPS, type ClipName } from '../../node/training/dataset.ts';
import { type ClipLength, checkSameLength, type ReadClip } from '../../node/training/encoder.ts';
import { resizeAntialiased } from '../../training/data/antialiased.ts';
import { consecutiveFrames } from '../../training/data/training-clip.ts';
import type { ClipCodec } from '../../vae/index.ts';
import { drawnLatents, encodeValues } from '../../video/codec.ts';
import type { Video, VideoSize } from '../../video/video.ts';

const KEYS = { start: 0x57414e32, draw: 0x57414e33 };

/** Bytes [frames, height, width, 3] as values in [-1, 1], at the size of training. */
const normalised = (clip: Video, size: VideoSize): Float32Array =>
  Float32Array.from(resizeAntialiased(clip.data, clip, size), (value) => value / 127.5 - 1);

/**
 * Latents [C, latent frames, h, w] of the clips of the run's `position`-th sample.
 * @throws InvalidFileError where the clips of a sample have other lengths; one frame alone stands for a scene at rest.
 */
export async function encodeWanClips(
  clips: Readonly<Record<ClipName, string>>,
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
): Promise<Record<ClipName, Float32Array>> {
  const [word] = philox4x32([position >>> 0, Math.floor(position / 2 ** 32), 0, 0], [seed >>> 0, KEYS.start]);
  const share = word / 2 ** 32;
  let known: ClipLength | undefined;
  const latents: Float32Array[] = [];
  for (const [i, name] of CLIPS.entries()) {
    const path = clips[name];
    const clip = await readClip(path, (frames) => {
      checkSameLength({ path, frames }, known);
      if (frames > 1) known ??= { path, frames };
      return consecutiveFrames(frames, size.frames, share);
    });
    const posterior = await encodeValues(vae, normalised(clip, size), size);
    const stream = (3 * position + i) >>> 0;
    latents.push((await drawnLatents(vae.device, posterior, [seed >>> 0, KEYS.draw], stream)).values);
  }
  const [video, still, hand] = latents;
  return { video, static: still, hand };
}
