/** What both networks are made of. Activations are [1, height, width, channels]; weights become constants. */
import { add, constant, conv2d, depthwiseConv2d, linear, type Tensor } from '@dwm/core-tensor';
import type { LayerWeights } from './weights.ts';

/** TensorFlow's SAME: of an even number of zeros half on each side, of an odd one more after. */
function samePadding(x: Tensor, kernel: number, stride: 1 | 2) {
  const along = (size: number) => {
    const zeros = Math.max(0, (Math.ceil(size / stride) - 1) * stride + kernel - size);
    return [zeros >> 1, zeros - (zeros >> 1)];
  };
  const [top, bottom] = along(x.shape[1]);
  const [left, right] = along(x.shape[2]);
  return { top, bottom, left, right };
}

export const bias = (weights: LayerWeights, layer: string, channels: number): Tensor =>
  constant(weights.get(layer, [channels]), [channels]);

/** A convolution that halves the picture; `weight` is [kernel, kernel, in, out]. */
export const halve = (x: Tensor, weight: Float32Array, kernel: number, channels: number): Tensor =>
  conv2d(x, constant(weight, [kernel, kernel, x.shape[3], channels]), {
    stride: 2,
    padding: samePadding(x, kernel, 2),
  });

/** `weight` is [kernel, kernel, channels]. */
export const depthwise = (x: Tensor, weight: Float32Array, kernel: number, stride: 1 | 2): Tensor =>
  depthwiseConv2d(x, constant(weight, [kernel, kernel, x.shape[3]]), {
    stride,
    padding: samePadding(x, kernel, stride),
  });

/** A convolution of one pixel; `weight` is [out, in]. */
export const pointwise = (x: Tensor, weight: Float32Array, shift: Tensor): Tensor =>
  add(linear(x, constant(weight, [shift.shape[0], x.shape[x.shape.length - 1]])), shift);

/** [a, b, c] from [b, c, a] or [a, b, c, d] from another order: `order[k]` is where axis k of the result was. */
export function reordered(
  data: Float32Array,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((product, size) => product * size, 1));
  const sizes = order.map((axis) => shape[axis]);
  return Float32Array.from({ length: data.length }, (_, i) => {
    let [rest, at] = [i, 0];
    for (let d = sizes.length - 1; d >= 0; d--) {
      at += (rest % sizes[d]) * strides[order[d]];
      rest = Math.floor(rest / sizes[d]);
    }
    return data[at];
  });
}
