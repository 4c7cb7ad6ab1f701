/** The convolution in float64, by its definition. */
import { elementCount } from '../pointwise/access.ts';
import { type ConvShape, convOutputShape, sourceFrame } from './geometry.ts';

/** One output pixel under one tap: where its channels start in x (or the cache), the weight and the output. */
type Visit = (place: { fromCache: boolean; pixel: number; tap: number; out: number }) => void;

/** Every pair of an output pixel and a tap that meets a pixel of the input. */
function eachTap(shape: ConvShape, cached: boolean, visit: Visit): void {
  const { frames, height, width, inChannels, outChannels, kernel, stride, padding, upsample } = shape;
  const [kt, kh, kw] = kernel;
  const [batch, outFrames, outHeight, outWidth] = convOutputShape(shape);
  let out = 0;
  for (let b = 0; b < batch; b++)
    for (let t = 0; t < outFrames; t++)
      for (let y = 0; y < outHeight; y++)
        for (let column = 0; column < outWidth; column++, out += outChannels)
          for (let i = 0; i < kt; i++) {
            const time = t + i - (kt - 1);
            const fromCache = time < 0 && cached;
            const frame = fromCache
              ? b * (kt - 1) + time + kt - 1
              : b * frames + sourceFrame(Math.max(time, 0), upsample);
            for (let dy = 0; dy < kh; dy++)
              for (let dx = 0; dx < kw; dx++) {
                const row = Math.floor((y * stride + dy - padding.top) / upsample.space);
                const col = Math.floor((column * stride + dx - padding.left) / upsample.space);
                if (row < 0 || row >= height || col < 0 || col >= width) continue;
                const pixel = ((frame * height + row) * width + col) * inChannels;
                visit({ fromCache, pixel, tap: ((i * kh + dy) * kw + dx) * inChannels, out });
              }
          }
}

/**
 * @param x [batch, frames, height, width, inChannels].
 * @param weight [kt, kh, kw, inChannels, outChannels].
 * @param cache [batch, kt - 1, height, width, inChannels], the frames before x.
 * @returns [batch, frames', height', width', outChannels].
 */
export function convReference(
  shape: ConvShape,
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  cache?: ArrayLike<number>,
): Float64Array {
  const { inChannels, outChannels } = shape;
  const result = new Float64Array(elementCount(convOutputShape(shape)));
  eachTap(shape, cache !== undefined, ({ fromCache, pixel, tap, out }) => {
    const source = fromCache ? cache! : x;
    for (let c = 0; c < inChannels; c++) {
      const value = source[pixel + c];
      for (let n = 0; n < outChannels; n++) result[out + n] += value * weight[(tap + c) * outChannels + n];
    }
  });
  return result;
}

/** Gradients of `convReference` for the gradient `g` of its result. */
export function convBackwardReference(
  shape: ConvShape,
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  g: ArrayLike<number>,
  cache?: ArrayLike<number>,
): { dx: Float64Array; dweight: Float64Array; dcache: Float64Array } {
  const { inChannels, outChannels } = shape;
  const dx = new Float64Array(x.length);
  const dweight = new Float64Array(weight.length);
  const dcache = new Float64Array(cache?.length ?? 0);
  eachTap(shape, cache !== undefined, ({ fromCache, pixel, tap, out }) => {
    const [source, gradient] = fromCache ? [cache!, dcache] : [x, dx];
    for (let c = 0; c < inChannels; c++)
      for (let n = 0; n < outChannels; n++) {
        gradient[pixel + c] += g[out + n] * weight[(tap + c) * outChannels + n];
        dweight[(tap + c) * outChannels + n] += g[out + n] * source[pixel + c];
      }
  });
  return { dx, dweight, dcache };
}
