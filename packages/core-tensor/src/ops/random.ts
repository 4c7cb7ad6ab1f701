/**
 * Random tensors by a counter-based generator: element i of a tensor depends on i, the seed and the stream
 * alone, so that runs repeat bit for bit. Elementwise work on the result fuses as an epilogue.
 */
import { type Distribution, elementCount, lowerRandom } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { record, type Tensor } from '../tensor.ts';

/**
 * Uniform in [0, 1), multiples of 2^-24.
 * @param seed u32 [2].
 * @param stream a 32-bit word; different streams of one seed are independent.
 */
export const randomUniform = (seed: Tensor, shape: readonly number[], stream: number): Tensor =>
  random('uniform', seed, shape, stream);

/**
 * Normal with mean 0 and variance 1.
 * @param seed u32 [2].
 * @param stream a 32-bit word; different streams of one seed are independent.
 */
export const randomNormal = (seed: Tensor, shape: readonly number[], stream: number): Tensor =>
  random('normal', seed, shape, stream);

function random(distribution: Distribution, seed: Tensor, shape: readonly number[], stream: number): Tensor {
  if (seed.dtype !== 'u32' || `${seed.shape}` !== '2') {
    throw new InvalidArgumentError('random', `the seed must be u32 [2], got ${seed.dtype} [${seed.shape}]`);
  }
  if (stream >>> 0 !== stream) {
    throw new InvalidArgumentError('random', `the stream must be a whole number in [0, 2^32), got ${stream}`);
  }
  const count = elementCount(shape);
  return record(
    {
      kind: 'kernel',
      name: 'random',
      cost: { flops: 40 * count, bytes: 4 * count },
      epilogue: true,
      bindings: 2,
      lower: ({ caps }, epilogue) => lowerRandom({ count, distribution, stream, epilogue }, caps),
    },
    [seed],
    [{ shape, dtype: 'f32' }],
  )[0];
}
