/**
 * What encoder and decoder are made of. Clips are channels-last inside: [batch, frames, height, width,
 * channels]. Every convolution with taps in time looks back only: at the frames before this batch of frames
 * where they are cached, else at frame 0 repeated.
 */
import {
  add,
  concat,
  conv3d,
  groupNorm,
  mul,
  nextCache,
  repeat,
  reshape,
  silu,
  slice,
  type Tensor,
} from '@dwm/core-tensor';
import type { Weights } from '../weights/weights.ts';
import type { VaeConfig } from './config.ts';

/** Last input frames of every causal convolution, by the convolution's name. */
export type ConvCaches = Readonly<Record<string, Tensor>>;

/** A stretch of a clip on its way through a network. */
export interface Passage {
  readonly parameters: Pick<Weights, 'get' | 'has'>;
  /** From the stretch before; undefined for the first. */
  readonly caches: ConvCaches | undefined;
  /** Filled for the stretch that follows. */
  readonly nextCaches: Record<string, Tensor>;
  /** Called with the output of each part of the network, under its name: for tests. */
  readonly observe?: (name: string, value: Tensor) => void;
}

export interface Stretch extends Passage {
  readonly config: VaeConfig;
}

/** Fixed in the original, whatever `norm_eps` says, outside the encoder's residual blocks. */
const EPS = 1e-6;

type Norm = (name: string, x: Tensor) => Tensor;

/** 3x3x3 convolution; same size. */
export function causalConv({ parameters, caches, nextCaches }: Stretch, name: string, x: Tensor): Tensor {
  const weight = parameters.get(`${name}.conv.weight`);
  const bias = parameters.get(`${name}.conv.bias`);
  const [kt, kh, kw] = weight.shape;
  const cache = caches?.[name];
  // The sum makes it a tensor here and now: a mere view would keep all of x alive until the program ends.
  nextCaches[name] = add(nextCache(x, cache, kt), 0);
  const [v, h] = [(kh - 1) / 2, (kw - 1) / 2];
  const padding = { top: v, bottom: v, left: h, right: h };
  return add(conv3d(x, weight, { padding, cache }), bias);
}

/** Convolution of one position: a change of channels. */
function pointConv({ parameters }: Stretch, name: string, x: Tensor): Tensor {
  return add(conv3d(x, parameters.get(`${name}.weight`)), parameters.get(`${name}.bias`));
}

/** Group normalization over this stretch alone. */
export function plainNorm({ config, parameters }: Stretch, eps = EPS): Norm {
  return (name, x) =>
    groupNorm(x, {
      groups: config.norm_num_groups,
      eps,
      gamma: parameters.get(`${name}.weight`),
      beta: parameters.get(`${name}.bias`),
    });
}

/**
 * Group normalization, scaled and shifted by what the latents `z` [batch, latent frames, h, w, latent channels]
 * say of each place (MoVQ, arXiv:2209.09002). The original enlarges z and then maps it; mapping first gives the
 * same at a fraction of the work, and the enlarging is only a way to read.
 */
export function spatialNorm(stretch: Stretch, z: Tensor): Norm {
  const plain = plainNorm(stretch);
  return (name, x) => {
    const scale = pointConv(stretch, `${name}.conv_y.conv`, z);
    const shift = pointConv(stretch, `${name}.conv_b.conv`, z);
    return add(mul(plain(`${name}.norm_layer`, x), enlarge(scale, x)), enlarge(shift, x));
  };
}

/** Nearest neighbours of `z` at the size of `x`; an odd number of frames maps its first to the first alone. */
function enlarge(z: Tensor, x: Tensor): Tensor {
  const [, from, height, width] = z.shape;
  const [, to] = x.shape;
  const keepFirst = to > 1 && to % 2 === 1;
  const frames = keepFirst ? repeat(z, 1, (to - 1) / (from - 1), true) : repeat(z, 1, to / from);
  return repeat(repeat(frames, 2, x.shape[2] / height), 3, x.shape[3] / width);
}

export function resnet(stretch: Stretch, name: string, norm: Norm, x: Tensor): Tensor {
  let h = causalConv(stretch, `${name}.conv1`, silu(norm(`${name}.norm1`, x)));
  h = causalConv(stretch, `${name}.conv2`, silu(norm(`${name}.norm2`, h)));
  const changed = stretch.parameters.has(`${name}.conv_shortcut.weight`);
  return add(changed ? pointConv(stretch, `${name}.conv_shortcut`, x) : x, h);
}

/** The last two layers: norm, activation, convolution. */
export function head(stretch: Stretch, name: string, norm: Norm, x: Tensor): Tensor {
  const normed = norm(`${name}.norm_out`, x);
  stretch.observe?.('norm_out', normed);
  const out = causalConv(stretch, `${name}.conv_out`, silu(normed));
  stretch.observe?.('conv_out', out);
  return out;
}

/** Weight and bias of a convolution inside each frame, as one of a single tap in time. */
export function frameConv(
  { parameters }: Pick<Stretch, 'parameters'>,
  name: string,
): { weight: Tensor; bias: Tensor } {
  const weight = parameters.get(`${name}.weight`);
  return { weight: reshape(weight, [1, ...weight.shape]), bias: parameters.get(`${name}.bias`) };
}

/** Half the size, and with `inTime` half the frames. */
export function downsample(stretch: Stretch, name: string, x: Tensor, inTime: boolean): Tensor {
  const { weight, bias } = frameConv(stretch, `${name}.conv`);
  const padding = { top: 0, bottom: 1, left: 0, right: 1 };
  return add(conv3d(inTime ? halveFrames(x) : x, weight, { stride: 2, padding }), bias);
}

/** Means of pairs of frames; the first of an odd number stays as it is. */
function halveFrames(x: Tensor): Tensor {
  const [batch, frames, ...rest] = x.shape;
  if (frames === 1) return x;
  const odd = frames % 2;
  const pairs = reshape(slice(x, 1, odd, frames - odd), [batch, (frames - odd) / 2, 2, ...rest]);
  const sum = add(slice(pairs, 2, 0, 1), slice(pairs, 2, 1, 1));
  const means = reshape(mul(sum, 0.5), [batch, (frames - odd) / 2, ...rest]);
  return odd ? concat([slice(x, 1, 0, 1), means], 1) : means;
}

/** Twice the size, and with `inTime` twice the frames, except for the first of a clip that begins with an odd number. */
export function upsample(stretch: Stretch, name: string, x: Tensor, inTime: boolean): Tensor {
  const { weight, bias } = frameConv(stretch, `${name}.conv`);
  const frames = x.shape[1];
  const padding = { top: 1, bottom: 1, left: 1, right: 1 };
  const keepFirst = frames % 2 === 1 && !stretch.caches;
  const time = inTime && (frames > 1 || !keepFirst) ? 2 : 1;
  return add(conv3d(x, weight, { padding, upsample: { time, space: 2, keepFirst } }), bias);
}
