import type { Padding } from '../conv/geometry.ts';

/** A convolution of each channel by itself. */
export interface DepthwiseShape {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Rows and columns of the kernel. */
  readonly kernel: readonly [number, number];
  readonly stride: 1 | 2;
  /** Zeros around each image. */
  readonly padding: Padding;
}

/** [batch, height', width', channels]. */
export function depthwiseOutputShape(shape: DepthwiseShape): [number, number, number, number] {
  const { batch, height, width, channels, kernel, stride, padding } = shape;
  const along = (size: number, taps: number) => Math.floor((size - taps) / stride) + 1;
  return [
    batch,
    along(height + padding.top + padding.bottom, kernel[0]),
    along(width + padding.left + padding.right, kernel[1]),
    channels,
  ];
}

/** Shapes that the tests try: odd sizes, uneven padding, one and four channels a step. */
export const DEPTHWISE_SHAPES: readonly DepthwiseShape[] = [
  { batch: 1, height: 1, width: 1, channels: 1, kernel: [1, 1], stride: 1, padding: around(0, 0) },
  { batch: 2, height: 7, width: 9, channels: 3, kernel: [3, 3], stride: 1, padding: around(1, 1) },
  { batch: 2, height: 9, width: 6, channels: 8, kernel: [5, 5], stride: 2, padding: around(1, 2) },
  { batch: 1, height: 12, width: 13, channels: 20, kernel: [5, 5], stride: 1, padding: around(2, 2) },
  { batch: 3, height: 8, width: 5, channels: 4, kernel: [3, 5], stride: 2, padding: around(0, 1) },
];

function around(before: number, after: number): Padding {
  return { top: before, bottom: after, left: before, right: after };
}
