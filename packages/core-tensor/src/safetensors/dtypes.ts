/**
 * Element types of the safetensors format, and their bytes as typed arrays. The format is little-endian, as
 * is every machine with WebGPU, so a typed array is a plain view.
 */
import { InvalidArgumentError } from '../errors.ts';

/** Bytes per element, in the format's own names. */
export const DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  F8_E4M3FNUZ: 1,
  F8_E5M2FNUZ: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type SafetensorsDtype = keyof typeof DTYPE_BYTES;

export type TypedArray =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** A tensor in memory. `data` of F16 and BF16 holds their bits (Uint16Array); of F8_* and BOOL, their bytes. */
export interface SafetensorsTensor {
  dtype: SafetensorsDtype;
  shape: readonly number[];
  data: TypedArray;
}

export function isDtype(name: unknown): name is SafetensorsDtype {
  return typeof name === 'string' && Object.hasOwn(DTYPE_BYTES, name);
}

const ARRAY_TYPES = {
  F64: Float64Array,
  F32: Float32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
  F8_E4M3: Uint8Array,
  F8_E5M2: Uint8Array,
  F8_E8M0: Uint8Array,
  F8_E4M3FNUZ: Uint8Array,
  F8_E5M2FNUZ: Uint8Array,
} as const satisfies Record<SafetensorsDtype, unknown>;

/**
 * Elements of `dtype` in `bytes`: a view where the bytes are aligned for it, else a copy.
 * @throws InvalidArgumentError if the bytes are not whole elements.
 */
export function typedArray(dtype: SafetensorsDtype, bytes: ArrayBufferView): TypedArray {
  const size = DTYPE_BYTES[dtype];
  if (bytes.byteLength % size !== 0) {
    throw new InvalidArgumentError(
      'bytes',
      `${bytes.byteLength} bytes are not whole ${dtype} elements of ${size} bytes`,
    );
  }
  const aligned =
    bytes.byteOffset % size === 0
      ? bytes
      : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice();
  return new ARRAY_TYPES[dtype](aligned.buffer as ArrayBuffer, aligned.byteOffset, bytes.byteLength / size);
}
