/**
 * What the transformer is conditioned on, as latents: mask | static | hand, in the order and with the draws
 * of the original (`fixtures/pipeline_e2e/README.md`). Static latents are the posterior's mode where a mask is
 * passed, a sample where none is; hand latents are always a sample.
 */
import {
  broadcastTo,
  concat,
  constant,
  type Device,
  DeviceTensor,
  evaluate,
  mul,
  parameter,
  permute,
  type Tensor,
} from '@dwm/core-tensor';
import type { LatentSize, Posterior } from '../vae/index.ts';
import { type Fit, toDevice } from '../video/transfer.ts';
import type { DeviceVideo, Latents, Video, VideoSize } from '../video/video.ts';
import { hiddenPixels, hideMasked, latentVisibility, type Mask } from './mask.ts';
import { normals, STREAMS } from './noise.ts';
import type { Draws } from './options.ts';
import { Scratch } from './scratch.ts';

/** On the device, the caller's. */
export interface Conditioning {
  /** Mask, static and hand, [1, F', 1 + 2 C, h, w]. */
  readonly condition: DeviceTensor;
  /** Sample of the static posterior, where a start from the static video needs it. */
  readonly start?: Latents;
  /** The static video at the size of the run, and the mode of its posterior, where they are kept. */
  readonly staticVideo?: DeviceVideo;
  readonly staticLatents?: Latents;
}

export interface ConditioningSource {
  readonly staticVideo: Video;
  readonly handVideo: Video;
  readonly mask: 'zeros' | 'none' | Mask;
  /** Mode of the static posterior, where it is known; only with mask `zeros` and no start. */
  readonly staticLatents?: Latents;
  readonly draws: Draws;
  readonly seed: number;
  /** Whether the run starts from the noised static video. */
  readonly needsStart: boolean;
  /** Whether the static video and the mode of its posterior are kept. */
  readonly keepsStatic: boolean;
}

/** What conditions are made with. */
export interface ConditioningTools {
  readonly device: Device;
  /** The VAE; the posterior is the caller's. */
  readonly encode: (video: DeviceVideo) => Promise<Posterior>;
  readonly size: VideoSize;
  readonly latent: LatentSize;
  readonly scaling: number;
  readonly fit: Fit;
}

export async function makeConditioning(
  { device, encode, size, latent, scaling, fit }: ConditioningTools,
  source: ConditioningSource,
): Promise<Conditioning> {
  const { draws, seed, mask, needsStart, keepsStatic, staticLatents: known } = source;
  const { channels, frames, height, width } = latent;
  const own = new Scratch();
  const noise = (given: Float32Array | undefined, stream: number): Tensor => {
    const values = given ?? normals(seed, stream, channels * frames * height * width);
    const shape = [1, channels, frames, height, width];
    return parameter(own.keep(DeviceTensor.from(device, values, shape, 'f32', 'noise')));
  };
  const scaled = (x: Tensor) => mul(x, scaling);
  const one = (value: number, of: number) =>
    broadcastTo(constant(Float32Array.of(value), [1]), [1, frames, of, height, width]);
  try {
    const { some, all } = hiddenPixels(device, mask, size);
    if (some) own.keep(some);
    const encodesPlain = (needsStart || (!all && !some)) && !known;
    const staticVideo =
      encodesPlain || some || keepsStatic
        ? own.keep(await toDevice(device, source.staticVideo, size, fit))
        : undefined;

    const plain = encodesPlain ? own.keep(await encode(staticVideo!)) : undefined;
    if (staticVideo && !some && !keepsStatic) own.give(staticVideo).destroy();
    const handVideo = own.keep(await toDevice(device, source.handVideo, size, fit));
    const hand = own.keep(await encode(handVideo));
    own.give(handVideo).destroy();
    const handLatents = draws.hand === 'mode' ? hand.mode() : hand.sample(noise(draws.hand, STREAMS.hand));

    let staticLatents = one(0, channels);
    if (some) {
      const { seen } = await evaluate(device, { seen: hideMasked(parameter(staticVideo!), some, -1) });
      own.keep(seen);
      staticLatents = scaled(own.keep(await encode(seen)).mode());
      own.give(seen).destroy();
    } else if (mask === 'none') staticLatents = scaled(plain!.sample(noise(draws.static, STREAMS.static)));
    else if (!all) staticLatents = known ? parameter(known) : scaled(plain!.mode());

    const visible = some ? permute(latentVisibility(some, latent), [0, 1, 4, 2, 3]) : one(all ? 0 : 1, 1);
    const { condition, start, mode } = await evaluate<Record<string, Tensor>>(device, {
      condition: concat([scaled(visible), staticLatents, scaled(handLatents)], 2),
      ...(needsStart && { start: scaled(plain!.sample(noise(draws.staticStart, STREAMS.staticStart))) }),
      ...(keepsStatic && { mode: known ? mul(parameter(known), 1) : scaled(plain!.mode()) }),
    });
    return {
      condition,
      ...(start && { start }),
      ...(mode && { staticLatents: mode, staticVideo: own.give(staticVideo!) }),
    };
  } finally {
    own.destroy();
  }
}
