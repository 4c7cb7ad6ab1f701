/** Joining, padding and splitting along one dimension. Values move bit for bit. */
import { bytesOf, type ConcatSegment, elementCount, f32Bits, lowerConcat } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { record, type Tensor, type TensorSpec } from '../tensor.ts';
import { cast } from './pointwise.ts';
import { slice } from './views.ts';

/** Tensors of one dtype, of equal sizes except along `dim`, one after the other. */
export function concat(tensors: readonly Tensor[], dim: number): Tensor {
  const [first] = tensors;
  const fits = tensors.every(
    ({ shape, dtype }) =>
      dtype === first.dtype &&
      shape.length === first.shape.length &&
      shape.every((size, d) => d === dim || size === first.shape[d]),
  );
  if (!fits || !(dim in first.shape)) {
    const got = tensors.map(({ dtype, shape }) => `${dtype} [${shape}]`).join(', ');
    throw new InvalidArgumentError(
      'concat',
      `expected one dtype and equal sizes except along dimension ${dim}, got ${got}`,
    );
  }
  return joinSegments(
    'concat',
    tensors.map((tensor) => ({ size: tensor.shape[dim], tensor })),
    first,
    dim,
  );
}

/** `before` and `after` elements of `value` added along `dim`; either may be 0. */
export function pad(x: Tensor, dim: number, before: number, after: number, value = 0): Tensor {
  if (before < 0 || after < 0 || !(dim in x.shape)) {
    throw new InvalidArgumentError(
      'pad',
      `cannot add ${before} and ${after} along dimension ${dim} of [${x.shape}]`,
    );
  }
  if (before === 0 && after === 0) return x;
  const segments = [
    { size: before, value },
    { size: x.shape[dim], tensor: x },
    { size: after, value },
  ];
  return joinSegments(
    'pad',
    segments.filter(({ size }) => size > 0),
    x,
    dim,
  );
}

/** Consecutive views of `x` along `dim`, of the given sizes. */
export function split(x: Tensor, dim: number, sizes: readonly number[]): Tensor[] {
  if (sizes.reduce((a, b) => a + b, 0) !== x.shape[dim]) {
    throw new InvalidArgumentError(
      'split',
      `sizes [${sizes}] do not add up to dimension ${dim} of [${x.shape}]`,
    );
  }
  let start = 0;
  return sizes.map((size) => {
    start += size;
    return slice(x, dim, start - size, size);
  });
}

/** A segment along the joined dimension: a tensor, or one value everywhere. */
export interface JoinedSegment {
  readonly size: number;
  readonly tensor?: Tensor;
  readonly value?: number;
}

/** The segments one after the other; `like` gives the dtype and the sizes of the other dimensions. */
export function joinSegments(
  name: string,
  segments: readonly JoinedSegment[],
  like: TensorSpec,
  dim: number,
): Tensor {
  const { dtype } = like;
  const after = elementCount(like.shape.slice(dim + 1));
  const bytes = bytesOf(dtype);
  // The kernel moves 32-bit words: rows that end amid one, and packed values other than zero, go through f32.
  const inWords = segments.every(
    ({ size, value }) => (size * after * bytes) % 4 === 0 && (bytes === 4 || !value),
  );
  if (!inWords) {
    const wide = segments.map((segment) => ({
      ...segment,
      tensor: segment.tensor && cast(segment.tensor, 'f32'),
    }));
    return cast(joinSegments(name, wide, { ...like, dtype: 'f32' }, dim), dtype);
  }
  const shape = like.shape.map((size, d) =>
    d === dim ? segments.reduce((sum, segment) => sum + segment.size, 0) : size,
  );
  const spec = {
    rows: elementCount(like.shape.slice(0, dim)),
    segments: segments.map(({ size, tensor, value = 0 }): ConcatSegment => {
      const words = (size * after * bytes) / 4;
      return tensor ? { words } : { words, fill: dtype === 'f32' ? f32Bits(value) : value >>> 0 };
    }),
  };
  return record(
    {
      kind: 'kernel',
      name,
      cost: { flops: 0, bytes: 2 * elementCount(shape) * bytes },
      epilogue: false,
      bindings: 2,
      lower: ({ caps }) => lowerConcat(spec, caps),
      vjp: ({ gradients: [g], needed }) => {
        const views = split(
          g!,
          dim,
          segments.map(({ size }) => size),
        ).filter((_, k) => segments[k].tensor);
        return views.map((view, k) => (needed[k] ? view : undefined));
      },
    },
    segments.flatMap(({ tensor }) => tensor ?? []),
    [{ shape, dtype }],
  )[0];
}
