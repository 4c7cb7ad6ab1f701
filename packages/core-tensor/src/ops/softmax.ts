/** Softmax over the last dimension. Elementwise work on the result fuses as an epilogue. */
import { bytesOf, elementCount, lowerSoftmax, lowerSoftmaxBackward } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { record, type Tensor } from '../tensor.ts';

/**
 * exp(x) / sum(exp(x)) over the last dimension, computed from differences to the largest value, so that nothing
 * overflows. f32.
 * @param x [..., C], of floats.
 */
export function softmax(x: Tensor): Tensor {
  const columns = x.shape[x.shape.length - 1];
  if (columns === undefined || /^[iu]/.test(x.dtype)) {
    throw new InvalidArgumentError(
      'softmax',
      `expected a tensor of floats with a dimension to go over, got ${x.dtype} [${x.shape}]`,
    );
  }
  const count = elementCount(x.shape);
  const spec = { rows: count / columns, columns, dtype: x.dtype };
  return record(
    {
      kind: 'kernel',
      name: 'softmax',
      cost: { flops: 5 * count, bytes: count * (bytesOf(x.dtype) + 4) },
      epilogue: true,
      bindings: 2,
      vjp: ({ outputs: [y], gradients: [g] }) =>
        record(
          {
            kind: 'kernel',
            name: 'softmaxBackward',
            cost: { flops: 4 * count, bytes: 12 * count },
            epilogue: false,
            bindings: 3,
            lower: ({ caps }) => lowerSoftmaxBackward(spec, caps),
          },
          [y, g!],
          [{ shape: x.shape, dtype: 'f32' }],
        ),
      lower: ({ caps }, epilogue) => lowerSoftmax({ ...spec, epilogue }, caps),
    },
    [x],
    [{ shape: x.shape, dtype: 'f32' }],
  )[0];
}
