/** Shapes that the tests try: every option alone, odd sizes, and the VAE's layers scaled down. */
import type { ConvShape } from './geometry.ts';

const noPadding = { top: 0, bottom: 0, left: 0, right: 0 };
const same = { top: 1, bottom: 1, left: 1, right: 1 };
const noUpsample = { time: 1, space: 1, keepFirst: false } as const;

const shape = (
  [batch, frames, height, width, inChannels]: readonly number[],
  outChannels: number,
  kernel: ConvShape['kernel'],
  more: Partial<ConvShape> = {},
): ConvShape => ({
  batch,
  frames,
  height,
  width,
  inChannels,
  outChannels,
  kernel,
  stride: 1,
  padding: same,
  upsample: noUpsample,
  cached: false,
  ...more,
});

/** For correctness: small enough for the float64 reference. */
export const CONV_SHAPES: readonly ConvShape[] = [
  shape([1, 1, 1, 1, 1], 1, [1, 1, 1], { padding: noPadding }),
  shape([2, 3, 5, 3, 3], 5, [3, 3, 3]),
  shape([2, 3, 5, 3, 3], 5, [3, 3, 3], { cached: true }),
  shape([1, 1, 9, 2, 4], 4, [3, 3, 3], { cached: true }),
  shape([1, 1, 9, 3, 6], 12, [3, 3, 3]),
  shape([2, 5, 6, 13, 8], 3, [3, 3, 3], { cached: true }),
  shape([1, 4, 7, 9, 16], 16, [3, 3, 3], { cached: true }),
  shape([1, 2, 8, 70, 8], 8, [1, 3, 3]),
  shape([1, 2, 6, 4, 128], 64, [3, 3, 3]),
  shape([1, 2, 3, 2, 20], 24, [3, 3, 3]),
  shape([1, 2, 3, 2, 20], 21, [3, 3, 3]),
  shape([2, 2, 9, 3, 8], 20, [1, 1, 1], { padding: noPadding }),
  shape([1, 3, 9, 13, 3], 16, [1, 3, 3], { stride: 2, padding: { ...noPadding, bottom: 1, right: 1 } }),
  shape([2, 1, 8, 4, 16], 8, [1, 3, 3], { stride: 2, padding: { ...noPadding, bottom: 1, right: 1 } }),
  shape([1, 2, 11, 3, 5], 7, [1, 5, 2], { padding: { top: 2, bottom: 1, left: 0, right: 1 } }),
  shape([1, 2, 8, 6, 4], 33, [1, 2, 2], { stride: 2, padding: noPadding }),
  shape([1, 3, 5, 7, 8], 8, [1, 3, 3], { upsample: { time: 1, space: 2, keepFirst: false } }),
  shape([2, 3, 5, 1, 3], 6, [1, 3, 3], { upsample: { time: 2, space: 2, keepFirst: true } }),
  shape([1, 2, 5, 2, 12], 4, [1, 3, 3], { upsample: { time: 2, space: 2, keepFirst: false } }),
  shape([1, 3, 5, 4, 4], 4, [1, 3, 3], { upsample: { time: 2, space: 1, keepFirst: true } }),
  shape([1, 1, 6, 3, 8], 16, [1, 3, 3], {
    stride: 2,
    padding: { top: 1, bottom: 0, left: 2, right: 1 },
    upsample: { time: 1, space: 2, keepFirst: false },
  }),
];
