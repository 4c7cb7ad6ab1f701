/** What a tensor is before it has values: shape and dtype. */
import { type DType, elementCount } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from './errors.ts';

/** Shape and element type of a tensor. */
export interface TensorSpec {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** A `TensorSpec`; f32 unless said. */
export const spec = (shape: readonly number[], dtype: DType = 'f32'): TensorSpec => ({ shape, dtype });

/** Host arrays that match the dtypes; f16, bf16 and floats of a byte travel as their bits, i4 two to a byte. */
export type HostData = Float32Array | Uint32Array | Int32Array | Uint16Array | Uint8Array | Int8Array;

/** Kernels count elements in 32 bits. */
const MOST_ELEMENTS = 2 ** 32 - 1;

/**
 * @param what names the tensor in the error.
 * @throws InvalidArgumentError for sizes that are not whole numbers from 1 on, or too many elements.
 */
export function requireShape(shape: readonly number[], what: string): void {
  const bad = shape.find((size) => !Number.isInteger(size) || size < 1);
  if (bad !== undefined) {
    throw new InvalidArgumentError(
      `${what}: shape [${shape}]`,
      `sizes are whole numbers from 1 on, got ${bad}`,
    );
  }
  const count = elementCount(shape);
  if (count > MOST_ELEMENTS) {
    throw new InvalidArgumentError(
      `${what}: shape [${shape}]`,
      `a tensor has at most ${MOST_ELEMENTS} elements, this one ${count}; use a smaller size or tiling`,
    );
  }
}
