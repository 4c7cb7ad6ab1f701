/**
 * What the transformer is conditioned on, as latents: mask | static | hand, in the order and with the draws
 * of the original (`fixtures/pipeline_e2e/README.md`). Static latents are the posterior's mode where a mask is
 * passed, a sample where none is; hand latents are always a sample.
 */
import type { Device } from '@dwm/core-tensor';
import { type LatentSize, type Posterior, samplePosterior } from '../vae/index.ts';
import { type Clip, type ClipSize, prepareClip } from './clip.ts';
import { binaryMask, hideMasked, latentVisibility, type Mask } from './mask.ts';
import { normals, STREAMS } from './noise.ts';
import type { Draws } from './options.ts';

export interface Conditioning {
  /** [F', 1 + 2 C, h, w]: mask, static, hand. */
  readonly condition: Float32Array;
  /** Scaled sample of the static posterior [F', C, h, w], where a start from the static video needs it. */
  readonly start?: Float32Array;
  /** The static video at the size of the run, [3, F, H, W] in [-1, 1]. */
  readonly staticVideo: Float32Array;
  /** Mode of its posterior [C, F', h, w], not scaled, where it was encoded whole. */
  readonly staticLatents?: Float32Array;
}

export interface ConditioningSource {
  readonly staticVideo: Clip;
  readonly handVideo: Clip;
  readonly mask: 'zeros' | 'none' | Mask;
  /** Mode of the static posterior [C, F', h, w], where it is known; only with mask `zeros` and no start. */
  readonly staticLatents?: Float32Array;
  readonly draws: Draws;
  readonly seed: number;
  /** Whether the run starts from the noised static video. */
  readonly needsStart: boolean;
}

/** [channels, frames, pixels] to [frames, channels, pixels], or back; scaled on the way. */
export function swapFrames(x: Float32Array, outer: number, inner: number, scale = 1): Float32Array {
  const pixels = x.length / (outer * inner);
  const out = new Float32Array(x.length);
  for (let a = 0; a < outer; a++) {
    for (let b = 0; b < inner; b++) {
      const from = (a * inner + b) * pixels;
      const to = (b * outer + a) * pixels;
      for (let i = 0; i < pixels; i++) out[to + i] = x[from + i] * scale;
    }
  }
  return out;
}

/**
 * @param encode the VAE, [1, 3, F, H, W] in [-1, 1] to a posterior.
 */
export async function makeConditioning(
  device: Device,
  encode: (video: Float32Array) => Promise<Posterior>,
  source: ConditioningSource,
  size: ClipSize,
  latent: LatentSize,
  scaling: number,
): Promise<Conditioning> {
  const { draws, seed, mask } = source;
  const pixels = latent.height * latent.width;

  const staticVideo = await prepareClip(device, source.staticVideo, size);
  const handVideo = await prepareClip(device, source.handVideo, size);
  const hidden = typeof mask === 'string' ? undefined : binaryMask(mask, size);
  const allHidden = hidden?.every((value) => value === 1) ?? false;
  const someHidden = !allHidden && (hidden?.some((value) => value === 1) ?? false);

  const { channels } = latent;
  const count = channels * latent.frames * pixels;
  const draw = (stream: number) => normals(seed, stream, count);
  const toLatents = (x: Float32Array) => swapFrames(x, channels, latent.frames, scaling);
  const needsPlain = source.needsStart || (!allHidden && !someHidden);
  const known = source.staticLatents;
  const plain = needsPlain && !known ? await encode(staticVideo) : undefined;
  const hand = await encode(handVideo);
  const handSample =
    draws.hand === 'mode' ? hand.mean : samplePosterior(hand, draws.hand ?? draw(STREAMS.hand));
  const handLatents = toLatents(handSample);

  let staticLatents: Float32Array = new Float32Array(count);
  if (someHidden) staticLatents = toLatents((await encode(hideMasked(staticVideo, hidden!, -1))).mean);
  else if (mask === 'none')
    staticLatents = toLatents(samplePosterior(plain!, draws.static ?? draw(STREAMS.static)));
  else if (!allHidden) staticLatents = toLatents(known ?? plain!.mean);

  const visible = someHidden
    ? await latentVisibility(device, hidden!, size, latent)
    : new Float32Array(latent.frames * pixels).fill(allHidden ? 0 : 1);

  const one = channels * pixels;
  const condition = new Float32Array(latent.frames * (pixels + 2 * one));
  for (let f = 0; f < latent.frames; f++) {
    const at = f * (pixels + 2 * one);
    for (let i = 0; i < pixels; i++) condition[at + i] = visible[f * pixels + i] * scaling;
    condition.set(staticLatents.subarray(f * one, (f + 1) * one), at + pixels);
    condition.set(handLatents.subarray(f * one, (f + 1) * one), at + pixels + one);
  }
  return {
    ...{ condition, staticVideo, staticLatents: known ?? plain?.mean },
    start: source.needsStart
      ? toLatents(samplePosterior(plain!, draws.staticStart ?? draw(STREAMS.staticStart)))
      : undefined,
  };
}
