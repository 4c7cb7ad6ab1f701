/**
 * Element types. Those of the second and third line are storage only: kernels expand them to f32 as they load.
 * `u8` are whole numbers from 0 to 255; `i8` and `i4` whole numbers of both signs, in two's complement; `e4m3` (without
 * infinities) and `e5m2` floats of a byte, by the bits of exponent and mantissa.
 */
export type DType = 'f32' | 'f16' | 'i32' | 'u32' | StorageDType;

/** Types that are loaded, never stored by a kernel. */
export type PackedDType = 'i8' | 'i4' | 'e4m3' | 'e5m2';

type StorageDType = 'bf16' | 'u8' | PackedDType;

const BYTES: Record<DType, number> = {
  ...{ f32: 4, f16: 2, i32: 4, u32: 4 },
  ...{ bf16: 2, u8: 1 },
  ...{ i8: 1, i4: 0.5, e4m3: 1, e5m2: 1 },
};

/** Whether a dtype packs several elements into a word that no kernel writes. */
export const isPacked = (dtype: DType): dtype is PackedDType =>
  dtype === 'i8' || dtype === 'i4' || dtype === 'e4m3' || dtype === 'e5m2';

/** Bytes of one element; half a byte of `i4`. */
export const bytesOf = (dtype: DType): number => BYTES[dtype];

/** Bytes that `count` elements take in a buffer: whole 16-byte words, so that four lanes at the end stay inside. */
export const byteLength = (count: number, dtype: DType): number =>
  Math.max(16, Math.ceil((count * BYTES[dtype]) / 16) * 16);

/** The numeric type that a value of this dtype has inside a kernel. */
export const valueType = (dtype: DType): 'f32' | 'i32' | 'u32' =>
  dtype === 'i32' || dtype === 'u32' ? dtype : 'f32';
