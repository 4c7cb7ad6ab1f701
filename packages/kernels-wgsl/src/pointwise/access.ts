/**
 * Where an operand's element lies for a given output coordinate. Every view (permute, slice, broadcast,
 * nearest up-sampling by whole factors) is such an affine map, so views cost nothing when the reader is a
 * pointwise kernel or an epilogue:
 *
 *     element = offset + sum over d of stride[d] * floor((coordinate[d] + shift[d]) / divisor[d])
 */
import { byteLength, bytesOf, type DType } from '../dtype.ts';

/** How a coordinate counts: stride · floor((coordinate + shift) / divisor). */
export interface AccessDim {
  readonly stride: number;
  readonly shift: number;
  readonly divisor: number;
}

/**
 * Where an operand's element lies for a coordinate of the output: the sum over its dimensions, and `offset`, in
 * elements.
 */
export interface Access {
  readonly offset: number;
  readonly dims: readonly AccessDim[];
}

/** Elements of a tensor of this shape. */
export const elementCount = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Row-major strides, in elements. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= shape[d];
  }
  return strides;
}

/** An access by strides alone, in elements. */
export const strided = (strides: readonly number[], offset = 0): Access => ({
  offset,
  dims: strides.map((stride) => ({ stride, shift: 0, divisor: 1 })),
});

/** A dense tensor of `from` read at the coordinates of `to`, broadcast as NumPy does. */
export function broadcastAccess(from: readonly number[], to: readonly number[]): Access {
  const strides = contiguousStrides(from);
  const lead = to.length - from.length;
  return strided(to.map((_, d) => (d < lead || from[d - lead] === 1 ? 0 : strides[d - lead])));
}

/** Whether the access reads exactly a dense row-major tensor of `shape` from element 0. */
export function isDense(access: Access, shape: readonly number[]): boolean {
  const strides = contiguousStrides(shape);
  return (
    access.offset === 0 &&
    access.dims.every(
      (dim, d) => shape[d] === 1 || (dim.stride === strides[d] && dim.divisor === 1 && dim.shift === 0),
    )
  );
}

const at = (dim: AccessDim, coordinate: number) =>
  dim.stride * Math.floor((coordinate + dim.shift) / dim.divisor);

/** Smallest and largest element read while the flat output index runs over [start, end). */
export function elementRange(
  access: Access,
  shape: readonly number[],
  start: number,
  end: number,
): [number, number] {
  const strides = contiguousStrides(shape);
  // Maps never decrease along a dimension: the first and the last coordinate of each are the ends of the whole.
  const whole: [number, number][] = [];
  whole[shape.length] = [0, 0];
  for (let d = shape.length - 1; d >= 0; d--) {
    const [low, high] = whole[d + 1];
    whole[d] = [at(access.dims[d], 0) + low, at(access.dims[d], shape[d] - 1) + high];
  }
  /** Range over dimensions d and after, while the index within them runs from `first` to `last`. */
  const range = (d: number, first: number, last: number): [number, number] => {
    const row = strides[d];
    if (d === shape.length || (first === 0 && last === shape[d] * row - 1)) return whole[d];
    const under = (coordinate: number, from: number, to: number): [number, number] => {
      const [low, high] = range(d + 1, from, to);
      const element = at(access.dims[d], coordinate);
      return [element + low, element + high];
    };
    const a = Math.floor(first / row);
    const b = Math.floor(last / row);
    if (a === b) return under(a, first - a * row, last - a * row);
    const ends = [under(a, first - a * row, row - 1), under(b, 0, last - b * row)];
    // Whole rows between the ends are bounded by the outer two.
    if (b - a > 1) ends.push(under(a + 1, 0, row - 1), under(b - 1, 0, row - 1));
    return [Math.min(...ends.map(([low]) => low)), Math.max(...ends.map(([, high]) => high))];
  };
  const [low, high] = range(0, start, end - 1);
  return [access.offset + low, access.offset + high];
}

/** A window of a tensor's bytes and where the wanted element 0 lies in it (may be negative). */
export interface Window {
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly firstElement: number;
}

/** The aligned window that holds elements low..high of a tensor of `count` elements. */
export function windowOf(low: number, high: number, count: number, dtype: DType, alignment: number): Window {
  const bytes = bytesOf(dtype);
  const byteOffset = Math.floor((low * bytes) / alignment) * alignment;
  const end = Math.min(byteLength(count, dtype), Math.ceil(((high + 1) * bytes) / 16) * 16);
  return { byteOffset, byteLength: end - byteOffset, firstElement: byteOffset / bytes };
}

/**
 * Cuts [0, total) into sections, multiples of `quantum` long, that all satisfy `fits`: the whole if it does,
 * else halves of halves. Throws `tooLarge()` when even one quantum does not fit.
 */
export function splitRange(
  total: number,
  quantum: number,
  fits: (start: number, end: number) => boolean,
  tooLarge: () => Error,
): [number, number][] {
  const sections: [number, number][] = [];
  const cut = (start: number, end: number) => {
    if (fits(start, end)) {
      sections.push([start, end]);
      return;
    }
    if (end - start <= quantum) throw tooLarge();
    const middle = start + Math.ceil((end - start) / 2 / quantum) * quantum;
    cut(start, middle);
    cut(middle, end);
  };
  cut(0, total);
  return sections;
}
