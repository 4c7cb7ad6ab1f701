/** The convolution in float64, by its definition. */
import { type ConvShape, convOutputShape, sourceFrame } from './geometry.ts';

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
  const { frames, height, width, inChannels, outChannels, kernel, stride, padding, upsample } = shape;
  const [kt, kh, kw] = kernel;
  const [batch, outFrames, outHeight, outWidth] = convOutputShape(shape);
  const frameSize = height * width * inChannels;
  const out = new Float64Array(batch * outFrames * outHeight * outWidth * outChannels);
  let at = 0;
  for (let b = 0; b < batch; b++)
    for (let t = 0; t < outFrames; t++)
      for (let y = 0; y < outHeight; y++)
        for (let column = 0; column < outWidth; column++, at += outChannels)
          for (let i = 0; i < kt; i++) {
            const time = t + i - (kt - 1);
            const fromCache = time < 0 && cache !== undefined;
            const frame = fromCache
              ? b * (kt - 1) + time + kt - 1
              : b * frames + sourceFrame(Math.max(time, 0), upsample);
            const source = fromCache ? cache : x;
            for (let dy = 0; dy < kh; dy++)
              for (let dx = 0; dx < kw; dx++) {
                const row = Math.floor((y * stride + dy - padding.top) / upsample.space);
                const col = Math.floor((column * stride + dx - padding.left) / upsample.space);
                if (row < 0 || row >= height || col < 0 || col >= width) continue;
                const pixel = frame * frameSize + (row * width + col) * inChannels;
                const tap = ((i * kh + dy) * kw + dx) * inChannels;
                for (let c = 0; c < inChannels; c++) {
                  const value = source[pixel + c];
                  for (let n = 0; n < outChannels; n++)
                    out[at + n] += value * weight[(tap + c) * outChannels + n];
                }
              }
          }
  return out;
}

/** Gradients of `convReference` for the gradient `g` of its result. */
export function convBackwardReference(
  shape: ConvShape,
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  g: ArrayLike<number>,
  cache?: ArrayLike<number>,
): { dx: Float64Array; dweight: Float64Array; dcache: Float64Array } {
  const { frames, height, width, inChannels, outChannels, kernel, stride, padding, upsample } = shape;
  const [kt, kh, kw] = kernel;
  const [batch, outFrames, outHeight, outWidth] = convOutputShape(shape);
  const frameSize = height * width * inChannels;
  const dx = new Float64Array(x.length);
  const dweight = new Float64Array(weight.length);
  const dcache = new Float64Array(cache?.length ?? 0);
  let at = 0;
  for (let b = 0; b < batch; b++)
    for (let t = 0; t < outFrames; t++)
      for (let y = 0; y < outHeight; y++)
        for (let column = 0; column < outWidth; column++, at += outChannels)
          for (let i = 0; i < kt; i++) {
            const time = t + i - (kt - 1);
            const fromCache = time < 0 && cache !== undefined;
            const frame = fromCache
              ? b * (kt - 1) + time + kt - 1
              : b * frames + sourceFrame(Math.max(time, 0), upsample);
            const [source, gradient] = fromCache ? [cache, dcache] : [x, dx];
            for (let dy = 0; dy < kh; dy++)
              for (let tapX = 0; tapX < kw; tapX++) {
                const row = Math.floor((y * stride + dy - padding.top) / upsample.space);
                const col = Math.floor((column * stride + tapX - padding.left) / upsample.space);
                if (row < 0 || row >= height || col < 0 || col >= width) continue;
                const pixel = frame * frameSize + (row * width + col) * inChannels;
                const tap = ((i * kh + dy) * kw + tapX) * inChannels;
                for (let c = 0; c < inChannels; c++)
                  for (let n = 0; n < outChannels; n++) {
                    gradient[pixel + c] += g[at + n] * weight[(tap + c) * outChannels + n];
                    dweight[(tap + c) * outChannels + n] += g[at + n] * source[pixel + c];
                  }
              }
          }
  return { dx, dweight, dcache };
}
