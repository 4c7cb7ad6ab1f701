/** Convolution of each channel by itself. Elementwise work on the result fuses as an epilogue. Has no gradient. */
import {
  bytesOf,
  type DepthwiseShape,
  depthwiseOutputShape,
  elementCount,
  lowerDepthwise,
} from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { record, type Tensor } from '../tensor.ts';
import type { Conv2dOptions } from './conv.ts';
import { paddingProblem } from './conv-record.ts';

/**
 * @param x [batch, height, width, channels], f32.
 * @param weight [kh, kw, channels], f32.
 * @returns [batch, height', width', channels], f32.
 * @throws when shapes do not match, or the padding is not whole.
 */
export function depthwiseConv2d(
  x: Tensor,
  weight: Tensor,
  { stride = 1, padding = { top: 0, bottom: 0, left: 0, right: 0 } }: Omit<Conv2dOptions, 'upsample'> = {},
): Tensor {
  const wrong = (what: string) =>
    new InvalidArgumentError('depthwiseConv2d', `${what}, got x [${x.shape}] and weight [${weight.shape}]`);
  if (x.shape.length !== 4 || weight.shape.length !== 3 || weight.shape[2] !== x.shape[3])
    throw wrong('x must be [batch, height, width, channels] and weight [kh, kw, channels]');
  if (x.dtype !== 'f32' || weight.dtype !== 'f32') throw wrong('x and weight must be f32');
  const problem = paddingProblem(padding);
  if (problem) throw wrong(problem);
  const [batch, height, width, channels] = x.shape;
  const kernel = [weight.shape[0], weight.shape[1]] as const;
  const spec: DepthwiseShape = { batch, height, width, channels, kernel, stride, padding };
  const shape = depthwiseOutputShape(spec);
  if (shape.some((size) => size < 1)) throw wrong('the kernel must not be larger than the padded x');
  const count = elementCount(shape);
  return record(
    {
      kind: 'kernel',
      name: 'depthwiseConv2d',
      cost: {
        flops: 2 * count * kernel[0] * kernel[1],
        bytes: (elementCount(x.shape) + elementCount(weight.shape) + count) * bytesOf('f32'),
      },
      epilogue: true,
      bindings: 3,
      lower: ({ caps }, epilogue) => lowerDepthwise({ ...spec, epilogue }, caps),
    },
    [x, weight],
    [{ shape, dtype: 'f32' }],
  )[0];
}
