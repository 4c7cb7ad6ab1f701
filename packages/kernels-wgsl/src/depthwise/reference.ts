/** The depthwise convolution in float64. */
import { type DepthwiseShape, depthwiseOutputShape } from './shapes.ts';

/** The same in float64: x [batch, height, width, channels], weight [kh, kw, channels]. */
export function depthwiseReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  shape: DepthwiseShape,
): Float64Array {
  const { height, width, channels, kernel, stride, padding } = shape;
  const [batch, rows, columns] = depthwiseOutputShape(shape);
  const out = new Float64Array(batch * rows * columns * channels);
  for (let i = 0; i < out.length; i++) {
    const c = i % channels;
    const column = Math.floor(i / channels) % columns;
    const row = Math.floor(i / channels / columns) % rows;
    const image = Math.floor(i / channels / columns / rows);
    for (let dy = 0; dy < kernel[0]; dy++)
      for (let dx = 0; dx < kernel[1]; dx++) {
        const y = row * stride + dy - padding.top;
        const left = column * stride + dx - padding.left;
        if (y < 0 || y >= height || left < 0 || left >= width) continue;
        const at = ((image * height + y) * width + left) * channels + c;
        out[i] += x[at] * weight[(dy * kernel[1] + dx) * channels + c];
      }
  }
  return out;
}
