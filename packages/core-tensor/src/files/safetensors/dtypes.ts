/**
 * Element types of the safetensors format, and their bytes as typed arrays. The format is little-endian, as
 * is every machine with WebGPU, so a typed array is a plain view.
 */
import { InvalidArgumentError } from '../../errors.ts';

/** Bits per element, in the format's own names, and of I4, which is ours. Elements of less than a byte lie packed. */
export const DTYPE_BITS = {
  C64: 64,
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
  I4: 4,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
} as const;

/** Element types of safetensors, by their names there. */
export type SafetensorsDtype = keyof typeof DTYPE_BITS;

/** Host values of a tensor in a safetensors file. */
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

/**
 * A tensor in memory. `data` of F16 and BF16 holds their bits (Uint16Array); of F8_* and BOOL, their bytes; of F4, I4
 * and F6_*, the packed bytes; of C64, real and imaginary parts in turn.
 */
export interface SafetensorsTensor {
  dtype: SafetensorsDtype;
  shape: readonly number[];
  data: TypedArray;
}

/** Whether a safetensors file may name this dtype. */
export function isDtype(name: unknown): name is SafetensorsDtype {
  return typeof name === 'string' && name !== 'I4' && Object.hasOwn(DTYPE_BITS, name);
}

const ARRAY_TYPES = {
  C64: Float32Array,
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
  F4: Uint8Array,
  I4: Uint8Array,
  F6_E2M3: Uint8Array,
  F6_E3M2: Uint8Array,
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
  const bits = DTYPE_BITS[dtype];
  const { byteOffset, byteLength } = bytes;
  if ((byteLength * 8) % bits !== 0) {
    const size = bits % 8 ? `${bits} bits` : `${bits / 8} bytes`;
    throw new InvalidArgumentError('bytes', `${byteLength} bytes are not whole ${dtype} elements of ${size}`);
  }
  const array = ARRAY_TYPES[dtype];
  const size = array.BYTES_PER_ELEMENT;
  const aligned =
    byteOffset % size === 0 ? bytes : new Uint8Array(bytes.buffer, byteOffset, byteLength).slice();
  return new array(aligned.buffer as ArrayBuffer, aligned.byteOffset, byteLength / size);
}
