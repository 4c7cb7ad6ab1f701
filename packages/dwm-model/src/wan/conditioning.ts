/**
 * What DWM's Wan transformer is conditioned on, as latents: 4 channels of mask | static | hands. A mask channel belongs
 * to one of the four frames of a latent frame, and is not scaled. Static latents are the posterior's mode, hand latents
 * always a sample; latents are normalised by the VAE and have no scaling factor.
 */
import {
  broadcastTo,
  concat,
  constant,
  DeviceTensor,
  evaluate,
  InvalidArgumentError,
  mul,
  parameter,
  reshape,
  resizeLinear,
  slice,
  sub,
  type Tensor,
} from '@dwm/core-tensor';
import type { Conditioning, ConditioningSource, ConditioningTools } from '../pipeline/conditioning.ts';
import { hiddenPixels, hideMasked } from '../pipeline/mask.ts';
import { normals, STREAMS } from '../pipeline/noise.ts';
import { Scratch } from '../pipeline/scratch.ts';
import type { LatentSize } from '../vae/index.ts';
import { toDevice } from '../video/transfer.ts';

/** Frames of a latent frame. */
const TIMES = 4;

export async function wanConditioning(
  { device, encode, size, latent, fit }: ConditioningTools,
  source: ConditioningSource,
): Promise<Conditioning> {
  const { draws, seed, mask, keepsStatic } = source;
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
  const { channels, frames, height, width } = latent;
  const one = (value: number, of: number) =>
    broadcastTo(constant(Float32Array.of(value), [1]), [1, frames, of, height, width]);
  const own = new Scratch();
  try {
    const { some, all } = hiddenPixels(device, mask, size);
    if (some) own.keep(some);
    const known = some || all ? undefined : source.staticLatents;
    const encodesStill = !all && !known;
    const staticVideo =
      encodesStill || keepsStatic
        ? own.keep(await toDevice(device, source.staticVideo, size, fit))
        : undefined;

    // Hidden pixels are the grey in the middle.
    const seen = some
      ? own.keep((await evaluate(device, { seen: hideMasked(parameter(staticVideo!), some, 0) })).seen)
      : staticVideo;
    const still = encodesStill ? own.keep(await encode(seen!)) : undefined;
    if (some) own.give(seen!).destroy();
    if (staticVideo && (!keepsStatic || some)) own.give(staticVideo).destroy();
    const staticLatents = known ? parameter(known) : (still?.mode() ?? one(0, channels));

    const handVideo = own.keep(await toDevice(device, source.handVideo, size, fit));
    const hand = own.keep(await encode(handVideo));
    own.give(handVideo).destroy();
    const noise = (values: Float32Array) =>
      parameter(
        own.keep(DeviceTensor.from(device, values, [1, channels, frames, height, width], 'f32', 'noise')),
      );
    const drawn = draws.hand ?? normals(seed, STREAMS.hand, channels * frames * height * width);
    const handLatents = drawn === 'mode' ? hand.mode() : hand.sample(noise(drawn));

    const visible = some ? visibility(some, latent) : one(all ? 0 : 1, TIMES);
    const { condition, mode } = await evaluate<Record<string, Tensor>>(device, {
      condition: concat([visible, staticLatents, handLatents], 2),
      ...(keepsStatic && !some && { mode: mul(staticLatents, 1) }),
    });
    return {
      condition,
      ...(mode && { staticLatents: mode, staticVideo: own.give(staticVideo!) }),
    };
  } finally {
    own.destroy();
  }
}

/** 1 - mask at latent size, bilinear: [1, latent frames, 4, h, w]. The first frame fills the first latent frame. */
function visibility(hidden: DeviceTensor, { frames, height, width }: LatentSize): Tensor {
  const x = sub(1, parameter(hidden));
  const given = hidden.shape[1];
  const small = reshape(resizeLinear(x, [given, height, width]), [1, given, 1, height, width]);
  const first = slice(small, 1, 0, 1);
  const filled = concat([...Array.from({ length: TIMES - 1 }, () => first), small], 1);
  return reshape(slice(filled, 1, 0, frames * TIMES), [1, frames, TIMES, height, width]);
}
