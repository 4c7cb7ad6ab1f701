/**
 * Convolutions of channels-last images and clips, causal in time. Bias, activation and residual that follow are
 * fused into the kernel by the plan.
 */
import { type ConvShape, convOutputShape, type Padding, type Upsample } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import { paddingProblem, recordConv } from './conv-record.ts';
import { matmul } from './matmul.ts';
import { splitAt } from './pointwise.ts';
import { reshape, slice } from './views.ts';

/** Options of `conv2d`. */
export interface Conv2dOptions {
  /** In space; 1 if left out. */
  readonly stride?: 1 | 2;
  /** Zeros around each frame, after up-sampling; none if left out. */
  readonly padding?: Padding;
  /** Reads x as if `repeat` had up-sampled it first, without the memory. */
  readonly upsample?: { readonly space?: 1 | 2 };
}

/** Options of `conv3d`. */
export interface Conv3dOptions extends Omit<Conv2dOptions, 'upsample'> {
  /** The frames before x [batch, kt - 1, height, width, inChannels]. Without it, x's frame 0 repeated. */
  readonly cache?: Tensor;
  /** Up-sampling in time needs kt = 1; with `keepFirst` frame 0 is not repeated. */
  readonly upsample?: Partial<Upsample>;
}

/**
 * @param x [batch, frames, height, width, inChannels], f32.
 * @param weight [kt, kh, kw, inChannels, outChannels], f32, f16 or bf16.
 * @returns [batch, frames, height', width', outChannels]; frames are those of x, up-sampled.
 * @throws when shapes do not match, or the up-sampling is not one the kernel does.
 */
export function conv3d(x: Tensor, weight: Tensor, options: Conv3dOptions = {}): Tensor {
  const { stride = 1, padding = { top: 0, bottom: 0, left: 0, right: 0 }, cache, upsample = {} } = options;
  const { time = 1, space = 1, keepFirst = false } = upsample;
  const wrong = (what: string) =>
    new InvalidArgumentError('conv3d', `${what} (x [${x.shape}], weight [${weight.shape}])`);
  if (x.shape.length !== 5) throw wrong('x must be [batch, frames, height, width, channels]');
  if (weight.shape.length !== 5) throw wrong('weight must be [kt, kh, kw, in, out]');
  if (x.dtype !== 'f32') throw wrong(`x must be f32, not ${x.dtype}`);
  if (!['f32', 'f16', 'bf16'].includes(weight.dtype)) throw wrong(`weight cannot be ${weight.dtype}`);
  const [batch, frames, height, width, inChannels] = x.shape;
  const [kt, kh, kw, weightIn, outChannels] = weight.shape;
  if (weightIn !== inChannels) throw wrong(`weight takes ${weightIn} channels, x has ${inChannels}`);
  if (kt > 1 && time > 1) throw wrong('up-sampling in time needs a kernel of one frame');
  if (cache) {
    const expected = [batch, kt - 1, height, width, inChannels];
    if (kt === 1) throw wrong('a kernel of one frame takes no cache');
    if (cache.dtype !== 'f32' || cache.shape.join() !== expected.join()) {
      throw wrong(`cache must be f32 [${expected}], not ${cache.dtype} [${cache.shape}]`);
    }
  }
  const problem = paddingProblem(padding);
  if (problem) throw wrong(problem);

  const padded = Object.values(padding).some((size) => size > 0);
  const plain = stride === 1 && time === 1 && space === 1 && !padded;
  if (kt * kh * kw === 1 && plain) return matmul(x, reshape(weight, [inChannels, outChannels]));

  const geometry: ConvShape = {
    ...{ batch, frames, height, width, inChannels, outChannels, stride, padding },
    kernel: [kt, kh, kw],
    upsample: { time, space, keepFirst },
    cached: cache !== undefined,
  };
  const shape = convOutputShape(geometry);
  if (shape.some((size) => size < 1)) throw wrong(`the kernel is larger than the padded input`);
  return recordConv('conv', geometry, x, weight, cache);
}

/**
 * @param x [batch, height, width, inChannels], f32.
 * @param weight [kh, kw, inChannels, outChannels], f32, f16 or bf16.
 * @returns [batch, height', width', outChannels].
 * @throws when shapes do not match.
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  if (x.shape.length !== 4 || weight.shape.length !== 4) {
    throw new InvalidArgumentError(
      'conv2d',
      `x must be [batch, height, width, channels] and weight [kh, kw, in, out], not [${x.shape}] and [${weight.shape}]`,
    );
  }
  const out = conv3d(reshape(x, [1, ...x.shape]), reshape(weight, [1, ...weight.shape]), options);
  return reshape(out, out.shape.slice(1));
}

/**
 * What a streaming convolution of `kt` frames must remember after x: the last kt - 1 frames of [cache | x].
 *
 * @param x [batch, frames, height, width, channels].
 * @param cache [batch, kt - 1, height, width, channels]; without it, x's frame 0 repeated.
 * @returns [batch, kt - 1, height, width, channels].
 * @throws when `kt` is 1: there is nothing to remember.
 */
export function nextCache(x: Tensor, cache: Tensor | undefined, kt: number): Tensor {
  const kept = kt - 1;
  const frames = x.shape[1];
  if (kept < 1) throw new InvalidArgumentError('nextCache', 'a kernel of one frame needs no cache');
  if (frames >= kept) return slice(x, 1, frames - kept, kept);
  const before = (frame: number) => (cache ? slice(cache, 1, frame, 1) : slice(x, 1, 0, 1));
  const frameAt = (frame: number) => (frame < kept ? before(frame) : slice(x, 1, frame - kept, 1));
  const shape = x.shape.map((size, d) => (d === 1 ? kept : size));
  let remembered = frameAt(frames);
  for (let j = 1; j < kept; j++) remembered = splitAt(shape, 1, j, remembered, frameAt(frames + j));
  return remembered;
}
