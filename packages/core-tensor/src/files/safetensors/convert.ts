/**
 * Stored elements to JavaScript numbers. Every helper takes a tensor, or a chunk of one as `streamTensor`
 * yields it: only `dtype` and `data` are looked at.
 */
import { InvalidArgumentError } from '../../errors.ts';
import { type SafetensorsDtype, typedArray } from './dtypes.ts';

interface Elements {
  dtype: SafetensorsDtype;
  /** Typed elements or raw bytes of them. */
  data: ArrayBufferView;
}

let halfTable: Float32Array | undefined;

/** All 65,536 half-precision values (IEEE 754 binary16), indexed by their bits. All readers share the one array. */
export function halfValues(): Float32Array {
  if (halfTable) return halfTable;
  halfTable = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const mantissa = bits & 1023;
    const magnitude =
      exponent === 0
        ? mantissa * 2 ** -24
        : exponent < 31
          ? (1024 + mantissa) * 2 ** (exponent - 25)
          : mantissa
            ? Number.NaN
            : Number.POSITIVE_INFINITY;
    halfTable[bits] = bits & 0x8000 ? -magnitude : magnitude;
  }
  return halfTable;
}

/** 8-bit floats without infinities (arXiv:2209.05433). */
function e4m3(byte: number): number {
  const exponent = (byte >> 3) & 15;
  const mantissa = byte & 7;
  if ((byte & 127) === 127) return Number.NaN;
  const magnitude = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
  return byte & 128 ? -magnitude : magnitude;
}

function unsupported(dtype: SafetensorsDtype, target: string, expected: string): InvalidArgumentError {
  return new InvalidArgumentError('dtype', `${dtype} cannot be turned into ${target}; expected ${expected}`, {
    dtype,
  });
}

/**
 * F32, F16, BF16, F8_E4M3, F8_E5M2 or F64 elements as float32 (F64 is rounded). F32 data comes back as it is, not
 * copied.
 * @throws InvalidArgumentError for any other dtype.
 */
export function toFloat32({ dtype, data }: Elements): Float32Array {
  const elements = typedArray(dtype, data);
  if (dtype === 'F32') return elements as Float32Array;
  if (elements instanceof Float64Array) return Float32Array.from(elements);
  if (dtype === 'F16') {
    const values = halfValues();
    const out = new Float32Array(elements.length);
    for (let i = 0; i < out.length; i++) out[i] = values[elements[i] as number];
    return out;
  }
  if (dtype === 'BF16') {
    // bfloat16 is the upper half of a float32.
    const bits = new Uint32Array(elements.length);
    for (let i = 0; i < bits.length; i++) bits[i] = (elements[i] as number) << 16;
    return new Float32Array(bits.buffer);
  }
  if (dtype === 'F8_E4M3' || dtype === 'F8_E5M2') {
    const value = dtype === 'F8_E4M3' ? e4m3 : (byte: number) => halfValues()[byte << 8];
    const values = Float32Array.from({ length: 256 }, (_, byte) => value(byte));
    return Float32Array.from(elements as Uint8Array, (byte) => values[byte]);
  }
  throw unsupported(dtype, 'Float32Array', 'F32, F16, BF16, F8_E4M3, F8_E5M2 or F64');
}

/**
 * The bits of the nearest half-precision values, ties to even; beyond 65520 infinity. The way back is `toFloat32`
 * of an F16 tensor.
 */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (all, i) => {
    const sign = (all >>> 16) & 0x8000;
    const magnitude = all & 0x7fffffff;
    if (magnitude > 0x7f800000) return sign | 0x7e00;
    if (magnitude >= 0x47800000) return sign | 0x7c00;
    // Below 2^-14 the step is 2^-24 throughout; scaling by a power of two is exact.
    if (magnitude < 0x38800000) return sign | roundHalfEven(Math.abs(values[i]) * 2 ** 24);
    // Exponents differ by 112; a carry out of the mantissa is the next exponent, as it should be.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  });
}

function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/** Values as bfloat16 bits, rounded to the nearest, ties to even. NaN stays NaN. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const word = bits[i];
    const isNaNumber = (word & 0x7fffffff) > 0x7f800000;
    out[i] = isNaNumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}

/**
 * Integer or BOOL (0 or 1) elements as numbers: timesteps, token ids, shapes.
 * @throws InvalidArgumentError for floating dtypes, and for 64-bit values beyond 2^53 - 1.
 */
export function toNumbers({ dtype, data }: Elements): number[] {
  if (dtype.startsWith('F') || dtype === 'BF16')
    throw unsupported(dtype, 'whole numbers', 'an integer dtype or BOOL');
  return Array.from(typedArray(dtype, data) as ArrayLike<number | bigint>, (value, index) => {
    const number = Number(value);
    if (!Number.isSafeInteger(number)) {
      throw new InvalidArgumentError(
        'data',
        `element ${index} is ${value}, beyond the exact range of a number (2^53 - 1)`,
      );
    }
    return number;
  });
}
