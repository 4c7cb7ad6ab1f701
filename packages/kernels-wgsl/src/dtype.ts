/**
 * Element types. `bf16` and `u8` (whole numbers from 0 to 255) are storage only: kernels expand them to f32 as they
 * load.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'u8' | 'i32' | 'u32';

const BYTES: Record<DType, number> = { f32: 4, f16: 2, bf16: 2, u8: 1, i32: 4, u32: 4 };

/** Bytes of one element. */
export const bytesOf = (dtype: DType): number => BYTES[dtype];

/** Bytes that `count` elements take in a buffer: whole 16-byte words, so that four lanes at the end stay inside. */
export const byteLength = (count: number, dtype: DType): number =>
  Math.max(16, Math.ceil((count * BYTES[dtype]) / 16) * 16);

/** The numeric type that a value of this dtype has inside a kernel. */
export const valueType = (dtype: DType): 'f32' | 'i32' | 'u32' =>
  dtype === 'i32' || dtype === 'u32' ? dtype : 'f32';
