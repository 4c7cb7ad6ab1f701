/**
 * What `dwm bench` measures: kernels at the 5B model's sizes, a block of its transformer, and its denoising forward.
 * Each is cut down, in tokens or in pixels, to what the device computes in a moment by its measured peak.
 */
import {
  add,
  attention,
  conv3d,
  type Device,
  DeviceTensor,
  type DType,
  elementCount,
  groupNorm,
  linear,
  spec,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import { publishedTransformer, transformer, transformerParameters } from '@dwm/dwm-model/parts';

/** One thing to run, at its real size or smaller. */
export interface Work {
  readonly name: string;
  /** E.g. `17776 x 3072 x 3072`. */
  readonly size: string;
  /** Of the real size, in floating-point operations. */
  readonly share: number;
  readonly inputs: Readonly<Record<string, TensorSpec>>;
  readonly weights: Readonly<Record<string, Weight>>;
  run(inputs: Readonly<Record<string, Tensor>>, weights: Readonly<Record<string, Tensor>>): Tensor;
}

/** A weight, and the size of its numbers. */
type Weight = TensorSpec & { readonly size: number };

const weight = (shape: readonly number[], dtype: DType, size: number): Weight => ({ shape, dtype, size });

/** Tokens of 49 frames of 480x720, and of text. */
const TOKENS = 17_776;
const HEADS = 48;
const HEAD_DIM = 64;
const DIM = HEADS * HEAD_DIM;
const TEXT = 226;

/** Numbers near 1 in size, the same every time. A GPU is faster on zeros than on numbers. */
export function filled(device: Device, shape: readonly number[], dtype: DType, scale: number): DeviceTensor {
  const tensor = new DeviceTensor(device, { shape, dtype }, 'bench');
  const count = elementCount(shape);
  const pool = Float32Array.from(
    { length: Math.min(count, 1 << 20) },
    (_, i) => scale * 2 * Math.sin(12.9898 * i),
  );
  const words = new Uint32Array(pool.buffer);
  const data = dtype === 'bf16' ? Uint16Array.from(words, (word) => word >>> 16) : pool;
  for (let at = 0; at < count; at += data.length) tensor.write(data.subarray(0, count - at), at);
  return tensor;
}

/** A multiple of `step` near `share` of `whole`, between `least` and `whole`. */
const part = (whole: number, share: number, step: number, least: number): number =>
  Math.min(whole, Math.max(least, Math.round((whole * share) / step) * step));

const layer = (what: string, k: number, n: number, allowed: number): Work => {
  const m = part(TOKENS, allowed / (2 * TOKENS * k * n), 16, 64);
  return {
    name: `matmul, ${what}`,
    size: `${m} x ${k} x ${n}`,
    share: m / TOKENS,
    inputs: { x: spec([m, k]) },
    weights: { weight: weight([n, k], 'bf16', 1 / Math.sqrt(k)), bias: weight([n], 'f32', 1) },
    run: ({ x }, own) => linear(x, own.weight, own.bias),
  };
};

function attend(allowed: number): Work {
  const tokens = part(TOKENS, Math.sqrt(allowed / (4 * TOKENS * TOKENS * DIM)), 16, 64);
  const shape = [1, tokens, HEADS, HEAD_DIM];
  return {
    name: 'attention',
    size: `${tokens} tokens, ${HEADS} heads of ${HEAD_DIM}`,
    share: (tokens / TOKENS) ** 2,
    inputs: { q: spec(shape), k: spec(shape), v: spec(shape) },
    weights: {},
    run: ({ q, k, v }) => attention(q, k, v),
  };
}

/** A tile of the VAE: 240 x 360 pixels at 128 channels, half as many on each side at twice as many. */
function convolve(channels: number, down: number, allowed: number): Work {
  const frames = 2;
  const whole = [240 / down, 360 / down];
  const share = Math.sqrt(allowed / (2 * 27 * channels * channels * frames * whole[0] * whole[1]));
  const [height, width] = whole.map((size) => part(size, share, 4, 8));
  return {
    name: `convolution 3x3x3, ${channels} channels`,
    size: `${frames} x ${height} x ${width} x ${channels}`,
    share: (height * width) / (whole[0] * whole[1]),
    inputs: {
      x: spec([1, frames, height, width, channels]),
      cache: spec([1, 2, height, width, channels]),
    },
    weights: {
      weight: weight([3, 3, 3, channels, channels], 'bf16', 1 / Math.sqrt(27 * channels)),
      bias: weight([channels], 'f32', 1),
    },
    run: ({ x, cache }, own) =>
      add(conv3d(x, own.weight, { cache, padding: { top: 1, bottom: 1, left: 1, right: 1 } }), own.bias),
  };
}

function normalise(allowedBytes: number): Work {
  const [frames, channels] = [2, 128];
  const share = Math.sqrt(allowedBytes / (12 * frames * 240 * 360 * channels));
  const [height, width] = [240, 360].map((size) => part(size, share, 4, 8));
  return {
    name: 'group norm, 32 groups',
    size: `${frames} x ${height} x ${width} x ${channels}`,
    share: (height * width) / (240 * 360),
    inputs: { x: spec([1, frames, height, width, channels]) },
    weights: { gamma: weight([channels], 'f32', 1), beta: weight([channels], 'f32', 1) },
    run: ({ x }, own) => groupNorm(x, { groups: 32, eps: 1e-6, ...own }),
  };
}

/** Operations of a block for each token, and for each pair of tokens. */
const PER_TOKEN = 2 * (4 * DIM * DIM + 8 * DIM * DIM);
const PER_PAIR = 4 * DIM;

/**
 * The 5B's network with `layers` of its blocks: patch embedding, blocks and output, on one sample.
 * @param allowed operations, of which the tokens follow.
 */
export function network(layers: number, allowed: number): Work {
  const published = publishedTransformer('5B');
  const flopsOf = (share: number) => {
    const tokens = TEXT + share * (TOKENS - TEXT);
    return layers * tokens * (PER_TOKEN + PER_PAIR * tokens);
  };
  let share = 1;
  while (share > 1 / 400 && flopsOf(share) > allowed) share /= 1.2;
  const frames = part(13, share ** (1 / 3), 1, 1);
  const side = Math.min(1, Math.sqrt((share * 13) / frames));
  const [height, width] = [part(60, side, 2, 4), part(90, side, 2, 4)];
  const config = {
    ...published,
    num_layers: layers,
    ...{ sample_frames: 4 * (frames - 1) + 1, sample_height: height, sample_width: width },
  };
  const tokens = TEXT + (frames * height * width) / 4;
  const whole = published.num_layers * TOKENS * (PER_TOKEN + PER_PAIR * TOKENS);
  return {
    name: layers === 1 ? 'one transformer block' : 'denoising forward',
    size: `${layers} of ${published.num_layers} blocks, ${tokens} tokens`,
    share:
      (layers * tokens * (PER_TOKEN + PER_PAIR * tokens)) /
      (layers === 1 ? whole / published.num_layers : whole),
    inputs: {
      hidden: spec([1, frames, config.in_channels, height, width]),
      text: spec([1, TEXT, config.text_embed_dim]),
      time: spec([1, config.innerDim]),
    },
    weights: Object.fromEntries(
      Object.entries(transformerParameters(config)).map(([name, { shape }]) => [
        name,
        weight(shape, 'bf16', shape.length > 1 ? 1 / Math.sqrt(elementCount(shape.slice(1))) : 0.3),
      ]),
    ),
    run: ({ hidden, text, time }, own) =>
      transformer(config, { get: (name) => own[name], has: (name) => name in own }, { hidden, text, time }),
  };
}

/** Bytes of the whole 5B's weights. */
export const NETWORK_BYTES = Object.values(transformerParameters(publishedTransformer('5B'))).reduce(
  (sum, { shape }) => sum + 2 * elementCount(shape),
  0,
);

/** @param allowed operations, and bytes, that one run may take. */
export const kernelWork = (allowed: { flops: number; bytes: number }): readonly Work[] => [
  layer('attention projection', DIM, DIM, allowed.flops),
  layer('feed-forward', DIM, 4 * DIM, allowed.flops),
  attend(allowed.flops),
  convolve(128, 1, allowed.flops),
  convolve(256, 2, allowed.flops),
  normalise(allowed.bytes),
];
