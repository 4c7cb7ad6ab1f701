/**
 * Tells frames that were made from real ones, place by place (Isola et al., arXiv:1611.07004): four convolutions over
 * each frame beside the static one, so that only what changed has to be judged. Every kernel is scaled to one norm, so
 * the scores cannot grow without end (Salimans & Kingma, arXiv:1602.07868).
 */
import { add, concat, conv3d, maximum, mul, rsqrt, sum, type Tensor } from '@dwm/core-tensor';
import type { ParameterSpecs } from '../weights/parameters.ts';
import type { Weights } from '../weights/weights.ts';
import { draw, type InitialWeights, layer } from './initial-weights.ts';

/** Channels out and stride of every layer. */
const LAYERS = [
  { channels: 24, stride: 2 },
  { channels: 48, stride: 2 },
  { channels: 48, stride: 1 },
  { channels: 1, stride: 1 },
] as const;

/** Pixels of a frame to one score, along each side. */
export const SCORE_PIXELS = 4;
/** The colours of a frame and of the static one. */
const COLOURS = 6;
const SLOPE = 0.2;
const NAME = 'discriminator.';

export const isDiscriminator = (name: string): boolean => name.startsWith(NAME);

/** Kernels [1, 3, 3, in, out], as the device has them: no file but a checkpoint holds them. */
export function discriminatorParameters(): ParameterSpecs {
  return Object.fromEntries(
    LAYERS.flatMap(({ channels }, i) => {
      const from = i === 0 ? COLOURS : LAYERS[i - 1].channels;
      return [
        [`${NAME}${i}.weight`, { shape: [1, 3, 3, from, channels] }],
        [`${NAME}${i}.bias`, { shape: [channels] }],
      ];
    }),
  );
}

export const initialDiscriminator = (seed: number): InitialWeights => {
  const specs = discriminatorParameters();
  return draw(specs, seed, (name, shape) =>
    name.endsWith('.bias') ? { kind: 'fill', value: 0 } : layer(specs, name, shape),
  );
};

interface Judgement {
  /** [batch, frames, height / 4, width / 4, 1]: above 0 for real. */
  readonly scores: Tensor;
  /** What the layers before the last say, [batch, frames, h, w, channels]. */
  readonly features: readonly Tensor[];
}

/** @param clip [batch, frames, height, width, 3] in [-1, 1]. @param still the static clip, likewise. */
export function judge(weights: Pick<Weights, 'get'>, clip: Tensor, still: Tensor): Judgement {
  const features: Tensor[] = [];
  let x = concat([clip, still], 4);
  for (const [i, { channels, stride }] of LAYERS.entries()) {
    const kernel = weights.get(`${NAME}${i}.weight`);
    const size = sum(mul(kernel, kernel), [...kernel.shape.keys()], true);
    const scaled = mul(kernel, mul(rsqrt(add(size, 1e-12)), Math.sqrt(2 * channels)));
    const padding = { top: 1, bottom: 1, left: 1, right: 1 };
    x = add(conv3d(x, scaled, { stride, padding }), weights.get(`${NAME}${i}.bias`));
    if (i === LAYERS.length - 1) break;
    x = maximum(x, mul(x, SLOPE));
    features.push(x);
  }
  return { scores: x, features };
}
