/**
 * What DWM's Wan transformer is conditioned on, as latents: 4 channels of mask | static | hands. A mask channel belongs to
 * one of the four frames of a latent frame, and is not scaled. Static latents are the posterior's mode, hand latents always
 * a sample; latents are normalised by the VAE and have no scaling factor.
 */
import { compile, type Device, InvalidArgumentError, resizeLinear, spec } from '@dwm/core-tensor';
import { type ClipSize, prepareClip } from '../pipeline/clip.ts';
import { type Conditioning, type ConditioningSource, swapFrames } from '../pipeline/conditioning.ts';
import { binaryMask, hideMasked } from '../pipeline/mask.ts';
import { normals, STREAMS } from '../pipeline/noise.ts';
import { type LatentSize, type Posterior, samplePosterior } from '../vae/index.ts';

/** Frames of a latent frame. */
const TIMES = 4;

export async function wanConditioning(
  device: Device,
  encode: (video: Float32Array) => Promise<Posterior>,
  source: ConditioningSource,
  size: ClipSize,
  latent: LatentSize,
): Promise<Conditioning> {
  const { draws, seed, mask } = source;
  for (const [field, clip] of [
    ['static', source.staticVideo],
    ['hands', source.handVideo],
  ] as const) {
    if (clip.frames !== size.frames) {
      throw new InvalidArgumentError(
        field,
        `has ${clip.frames} frames, expected ${size.frames}: this model has no way to make more or fewer of them`,
      );
    }
  }
  const { channels, frames } = latent;
  const pixels = latent.height * latent.width;
  const one = channels * pixels;
  const toLatents = (x: Float32Array) => swapFrames(x, channels, frames);

  const staticVideo = await prepareClip(device, source.staticVideo, size);
  const handVideo = await prepareClip(device, source.handVideo, size);
  const hidden = typeof mask === 'string' ? undefined : binaryMask(mask, size);
  const allHidden = hidden?.every((value) => value === 1) ?? false;
  const someHidden = !allHidden && (hidden?.some((value) => value === 1) ?? false);

  // Hidden pixels are the grey in the middle.
  const seen = someHidden ? hideMasked(staticVideo, hidden!, 0) : staticVideo;
  const known = someHidden || allHidden ? undefined : source.staticLatents;
  const mode = allHidden ? undefined : (known ?? (await encode(seen)).mean);
  const staticLatents = mode ? toLatents(mode) : new Float32Array(frames * one);

  const posterior = await encode(handVideo);
  const noise = draws.hand ?? normals(seed, STREAMS.hand, frames * one);
  const handLatents = toLatents(noise === 'mode' ? posterior.mean : samplePosterior(posterior, noise));

  const visible = someHidden
    ? await visibility(device, hidden!, size, latent)
    : new Float32Array(frames * TIMES * pixels).fill(allHidden ? 0 : 1);

  const width = TIMES * pixels + 2 * one;
  const condition = new Float32Array(frames * width);
  for (let f = 0; f < frames; f++) {
    condition.set(visible.subarray(f * TIMES * pixels, (f + 1) * TIMES * pixels), f * width);
    condition.set(staticLatents.subarray(f * one, (f + 1) * one), f * width + TIMES * pixels);
    condition.set(handLatents.subarray(f * one, (f + 1) * one), f * width + TIMES * pixels + one);
  }
  return { condition, staticVideo, staticLatents: someHidden ? undefined : mode };
}

/** 1 - mask at latent size, bilinear: [latent frames, 4, h, w]. The first frame fills the first latent frame. */
async function visibility(
  device: Device,
  hidden: Uint8Array,
  { frames, height, width }: ClipSize,
  latent: LatentSize,
): Promise<Float32Array> {
  const program = await compile(device, { x: spec([1, frames, height, width, 1]) }, ({ x }) => ({
    out: resizeLinear(x, [frames, latent.height, latent.width]),
  }));
  try {
    await program.run({ x: Float32Array.from(hidden, (value) => 1 - value) });
    const small = (await program.outputs.out.read()) as Float32Array;
    const pixels = latent.height * latent.width;
    const out = new Float32Array(latent.frames * TIMES * pixels);
    for (let i = 0; i < latent.frames * TIMES; i++) {
      const frame = Math.max(0, i - TIMES + 1);
      out.set(small.subarray(frame * pixels, (frame + 1) * pixels), i * pixels);
    }
    return out;
  } finally {
    program.destroy();
  }
}
