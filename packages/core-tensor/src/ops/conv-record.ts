/**
 * The convolution node and its gradients. The gradient of x is a convolution again, of the output's gradient
 * with the reversed weight, so it runs on the same kernels: with a stride, one for each phase of x's rows and
 * columns. What up-sampling repeated is added up afterwards.
 */
import {
  type AdjointWeightSpec,
  adjointWeightShape,
  bytesOf,
  type ConvShape,
  convFlops,
  convOutputShape,
  elementCount,
  lowerAdjointWeight,
  lowerConv,
  lowerConvWeightGradient,
  type Padding,
} from '@dwm/kernels-wgsl';
import { identity } from '@dwm/kernels-wgsl/pointwise';
import { InvalidArgumentError } from '../errors.ts';
import { constant, record, type Tensor, type Vjp } from '../tensor.ts';
import { concat } from './concat.ts';
import { add } from './pointwise.ts';
import { broadcastTo, reshape, slice } from './views.ts';

/** What is wrong with a padding, if anything is. */
export function paddingProblem(padding: Padding): string | undefined {
  const { top, bottom, left, right } = padding;
  return [top, bottom, left, right].every((size) => Number.isInteger(size) && size >= 0)
    ? undefined
    : `padding must be whole and not negative, not ${JSON.stringify(padding)}`;
}

/** Records the convolution of checked operands. */
export function recordConv(
  name: string,
  geometry: ConvShape,
  x: Tensor,
  weight: Tensor,
  cache?: Tensor,
): Tensor {
  const shape = convOutputShape(geometry);
  const inputs = cache ? [x, weight, cache] : [x, weight];
  const inputBytes = inputs.reduce((sum, t) => sum + elementCount(t.shape) * bytesOf(t.dtype), 0);
  return record(
    {
      kind: 'kernel',
      name,
      cost: { flops: convFlops(geometry), bytes: inputBytes + elementCount(shape) * 4 },
      epilogue: true,
      // The operands, or in a frame cut by rows the weight and a frame for each tap; the output, the scales of f16.
      bindings: Math.max(inputs.length, 1 + geometry.kernel[0]) + 2,
      vjp: vjpOf(geometry),
      lower: (target, epilogue) =>
        lowerConv(
          {
            ...geometry,
            weightDtype: weight.dtype,
            precision: target.caps.features.f16 ? target.precision : 'f32',
            outputDtype: epilogue?.dtype ?? 'f32',
            fusion: epilogue?.fusion ?? identity(shape),
          },
          target,
        ),
    },
    inputs,
    [{ shape, dtype: 'f32' }],
  )[0];
}

const vjpOf =
  (geometry: ConvShape): Vjp =>
  ({ inputs: [x, weight, cache], gradients: [g], needed }) => {
    if (geometry.adjoint)
      throw new InvalidArgumentError('conv', 'the gradient of a gradient is not implemented');
    if (!g) return [];
    const results: (Tensor | undefined)[] = [];
    if (needed[0] || needed[2]) {
      const touched = gradientOfTouched(geometry, g, weight);
      if (needed[0]) results[0] = gradientOfX(geometry, touched);
      if (needed[2]) results[2] = slice(touched, 1, 0, geometry.kernel[0] - 1);
    }
    if (needed[1]) {
      const inputs = cache ? [x, g, cache] : [x, g];
      [results[1]] = record(
        {
          kind: 'kernel',
          name: 'convWeightGradient',
          cost: {
            flops: convFlops(geometry),
            bytes: [...inputs, weight].reduce((sum, t) => sum + elementCount(t.shape) * 4, 0),
          },
          epilogue: false,
          bindings: 3,
          lower: (target) => lowerConvWeightGradient(geometry, target),
        },
        inputs,
        [{ shape: weight.shape, dtype: 'f32' }],
      );
    }
    return results;
  };

/** One axis of one phase of the strided input: its first tap, the taps it meets, and the padding of g. */
function phase(at: number, size: number, before: number, taps: number, stride: number, outSize: number) {
  const first = (at + before) % stride;
  const count = Math.max(0, Math.ceil((taps - first) / stride));
  const shift = (at + before - first) / stride;
  const positions = Math.ceil(size / stride);
  return { first, count, positions, start: count - 1 - shift, end: positions - outSize + shift };
}

/**
 * Gradient of all that the kernel touches, as it reads it (x up-sampled): [batch, frames, height, width,
 * inChannels], with the frames of a cache before x's.
 */
function gradientOfTouched(geometry: ConvShape, g: Tensor, weight: Tensor): Tensor {
  const { stride, padding, kernel, inChannels, outChannels, upsample } = geometry;
  const [batch, frames, outHeight, outWidth] = convOutputShape(geometry);
  const adjoint = geometry.cached ? 'touched' : 'folded';
  const height = geometry.height * upsample.space;
  const width = geometry.width * upsample.space;
  const phases = stride === 1 ? [0] : [0, 1];
  const rows = phases.map((p) => {
    const columns = phases.map((q) => {
      const y = phase(p, height, padding.top, kernel[1], stride, outHeight);
      const x = phase(q, width, padding.left, kernel[2], stride, outWidth);
      const touched = geometry.cached ? frames + kernel[0] - 1 : frames;
      const size = [batch, touched, y.positions, x.positions, inChannels];
      // A phase that no tap meets.
      if (y.count * x.count === 0) return broadcastTo(constant(new Float32Array(1), [1]), size);
      return recordConv(
        'convBackward',
        {
          ...{ batch, frames, height: outHeight, width: outWidth },
          ...{ inChannels: outChannels, outChannels: inChannels },
          kernel: [kernel[0], y.count, x.count],
          stride: 1,
          padding: { top: y.start, bottom: y.end, left: x.start, right: x.end },
          upsample: { time: 1, space: 1, keepFirst: false },
          cached: false,
          adjoint,
        },
        g,
        adjointWeight(
          { shape: weight.shape, dtype: weight.dtype, stride, first: [y.first, x.first] },
          weight,
        ),
      );
    });
    return interleave(columns, 3);
  });
  const whole = interleave(rows, 2);
  return slice(slice(whole, 2, 0, height), 3, 0, width);
}

function adjointWeight(spec: AdjointWeightSpec, weight: Tensor): Tensor {
  const shape = adjointWeightShape(spec);
  const count = elementCount(shape);
  return record(
    {
      kind: 'kernel',
      name: 'convAdjointWeight',
      cost: { flops: 0, bytes: count * (4 + bytesOf(weight.dtype)) },
      epilogue: false,
      bindings: 2,
      lower: ({ caps }) => lowerAdjointWeight(spec, caps),
    },
    [weight],
    [{ shape, dtype: 'f32' }],
  )[0];
}

/** Tensors of one shape, taken in turn along `dim`. */
function interleave(tensors: readonly Tensor[], dim: number): Tensor {
  if (tensors.length === 1) return tensors[0];
  const { shape } = tensors[0];
  const apart = [...shape.slice(0, dim + 1), 1, ...shape.slice(dim + 1)];
  const joined = concat(
    tensors.map((tensor) => reshape(tensor, apart)),
    dim + 1,
  );
  return reshape(
    joined,
    shape.map((size, d) => (d === dim ? size * tensors.length : size)),
  );
}

/** What the kernel touched, back to the elements of x it came from. */
function gradientOfX({ frames, kernel, upsample, cached }: ConvShape, all: Tensor): Tensor {
  const touched = cached ? slice(all, 1, kernel[0] - 1, frames) : all;
  const inSpace = pool(touched, upsample.space);
  if (upsample.time === 1) return inSpace;
  if (!upsample.keepFirst) return sumOfPairs(inSpace, 1);
  const first = slice(inSpace, 1, 0, 1);
  if (frames === 1) return first;
  return concat([first, sumOfPairs(slice(inSpace, 1, 1, 2 * frames - 2), 1)], 1);
}

/** Sums of blocks that up-sampling in space repeated. */
const pool = (x: Tensor, space: 1 | 2): Tensor => (space === 1 ? x : sumOfPairs(sumOfPairs(x, 3), 2));

/** Neighbours along `dim` added, which halves it. */
function sumOfPairs(x: Tensor, dim: number): Tensor {
  const apart = reshape(x, [...x.shape.slice(0, dim), x.shape[dim] / 2, 2, ...x.shape.slice(dim + 1)]);
  const both = add(slice(apart, dim + 1, 0, 1), slice(apart, dim + 1, 1, 1));
  return reshape(
    both,
    x.shape.map((size, d) => (d === dim ? size / 2 : size)),
  );
}
