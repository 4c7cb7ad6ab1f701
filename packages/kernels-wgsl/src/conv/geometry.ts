/**
 * Shapes of a convolution and where its frames come from: the part of the specification that is plain
 * arithmetic, shared by the kernel, the reference and the op's shape rule.
 */
import type { DType } from '../dtype.ts';
import type { Fusion } from '../pointwise/fusion.ts';

/** Zeros around a frame, in pixels after up-sampling. */
export interface Padding {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** Nearest up-sampling of the input, as it is read. */
export interface Upsample {
  readonly time: 1 | 2;
  readonly space: 1 | 2;
  /** Frame 0 is not repeated in time: n frames are read as 2n - 1. */
  readonly keepFirst: boolean;
}

/** Sizes of a convolution of clips [batch, frames, height, width, channels]. */
export interface ConvShape {
  readonly batch: number;
  /** Size of x, before up-sampling. */
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Taps in time, height and width. */
  readonly kernel: readonly [number, number, number];
  /** In space. */
  readonly stride: 1 | 2;
  readonly padding: Padding;
  readonly upsample: Upsample;
  /** Whether the frames before x are given; else they are x's frame 0, repeated. */
  readonly cached: boolean;
  /**
   * Set for the convolution that takes gradients back. `touched`: frames before and after x are zero, and the
   * output has kt - 1 frames more, every position where the kernel touches x. `folded`: the first kt of those
   * are summed into one, as the gradient of a frame 0 that was repeated. Padding may be negative, which crops x.
   */
  readonly adjoint?: 'touched' | 'folded';
}

/** A convolution with its dtypes and what is fused into it. */
export interface ConvSpec extends ConvShape {
  readonly weightDtype: DType;
  /** `f16`: x and weight are rounded to f16, scaled against overflow; needs `features.f16`. */
  readonly precision: 'f32' | 'f16';
  readonly outputDtype: DType;
  /** Over the output, in any factorisation of its shape. */
  readonly fusion: Fusion;
}

/** [batch, frames, height, width, channels] of the output. */
export function convOutputShape(shape: ConvShape): number[] {
  const { batch, frames, height, width, kernel, stride, padding, upsample, outChannels } = shape;
  const along = (size: number, before: number, after: number, taps: number) =>
    Math.floor((size * upsample.space + before + after - taps) / stride) + 1;
  return [
    batch,
    frames * upsample.time -
      (upsample.keepFirst ? upsample.time - 1 : 0) +
      (shape.adjoint === 'touched' ? kernel[0] - 1 : 0),
    along(height, padding.top, padding.bottom, kernel[1]),
    along(width, padding.left, padding.right, kernel[2]),
    outChannels,
  ];
}

/** The frame of x that up-sampled frame `t` is. */
export const sourceFrame = (t: number, { time, keepFirst }: Upsample): number =>
  Math.floor((t + (keepFirst ? time - 1 : 0)) / time);

/** Floating-point operations, a product and a sum counted as two. */
export const convFlops = (shape: ConvShape): number =>
  convOutputShape(shape).reduce((a, b) => a * b, 2 * shape.inChannels) *
  shape.kernel.reduce((a, b) => a * b, 1);
