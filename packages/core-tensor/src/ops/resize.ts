/** Resizing of video, sampled as torch's `interpolate` does with `align_corners=False` and a given size. */
import {
  bytesOf,
  elementCount,
  lowerResize,
  lowerResizeBackward,
  type ResizeMode,
  resizeAdjointTable,
  resizeTable,
} from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { constant, record, type Tensor } from '../tensor.ts';

/** Frames, height, width. */
export type VideoSize = readonly [number, number, number];

/**
 * Trilinear: output coordinate i of an axis lies at max(0, (i + 0.5)·in/out - 0.5).
 * @param x [B, T, H, W, C].
 * @returns [B, ...size, C], f32.
 */
export const resizeLinear = (x: Tensor, size: VideoSize): Tensor => resize('resizeLinear', x, size, 'linear');

/**
 * Nearest: output coordinate i of an axis takes element floor(i·in/out), in float32.
 * @param x [B, T, H, W, C].
 * @returns [B, ...size, C], f32.
 */
export const resizeNearest = (x: Tensor, size: VideoSize): Tensor =>
  resize('resizeNearest', x, size, 'nearest');

function resize(name: string, x: Tensor, to: VideoSize, mode: ResizeMode): Tensor {
  const [batch, frames, height, width, channels] = x.shape;
  if (x.shape.length !== 5 || to.length !== 3 || to.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new InvalidArgumentError(
      name,
      `expected x [B, T, H, W, C] and three sizes of at least 1, got [${x.shape}] and [${to}]`,
    );
  }
  const from: VideoSize = [frames, height, width];
  const shape = [batch, ...to, channels];
  const samples = resizeTable(from, to, mode);
  const spec = { batch, from, to, channels, mode, dtype: x.dtype };
  return record(
    {
      kind: 'kernel',
      name,
      cost: {
        flops: (mode === 'linear' ? 14 : 0) * elementCount(shape),
        bytes: elementCount(x.shape) * bytesOf(x.dtype) + 4 * elementCount(shape),
      },
      epilogue: false,
      bindings: 3,
      vjp: ({ inputs, gradients: [g], needed }) => {
        if (!g || !needed[0]) return [];
        const adjoint = resizeAdjointTable(from, to, mode);
        return record(
          {
            kind: 'kernel',
            name: `${name}Backward`,
            cost: {
              flops: 14 * elementCount(shape),
              bytes: 4 * (elementCount(inputs[0].shape) + elementCount(shape)),
            },
            epilogue: false,
            bindings: 3,
            lower: ({ caps }) => lowerResizeBackward(spec, caps),
          },
          [g, constant(adjoint, [adjoint.length / 2, 2])],
          [{ shape: inputs[0].shape, dtype: 'f32' }],
        );
      },
      lower: ({ caps }) => lowerResize(spec, caps),
    },
    [x, constant(samples, [samples.length / 4, 4])],
    [{ shape, dtype: 'f32' }],
  )[0];
}
