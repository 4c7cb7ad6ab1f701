import { describe, expect, it } from 'vitest';
import { toBfloat16, toFloat16, toFloat32, toNumbers } from './convert.ts';
import { typedArray } from './dtypes.ts';

describe('toFloat32', () => {
  it('decodes half precision (values from IEEE 754 binary16)', () => {
    const bits = [0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x03ff, 0x3555, 0x7c00, 0xfc00, 0x8000];
    const values = [
      1,
      -2,
      65504,
      2 ** -14,
      2 ** -24,
      1023 * 2 ** -24,
      0.333251953125,
      Infinity,
      -Infinity,
      -0,
    ];
    expect(Array.from(toFloat32({ dtype: 'F16', data: Uint16Array.from(bits) }))).toEqual(values);
    expect(toFloat32({ dtype: 'F16', data: Uint16Array.of(0x7e01) })[0]).toBeNaN();
  });

  it('decodes bfloat16, subnormals and infinities included', () => {
    const bits = [0x3f80, 0xc049, 0x7f7f, 0x0001, 0xff80, 0x8000];
    const values = [1, -3.140625, 255 * 2 ** 120, 2 ** -133, -Infinity, -0];
    expect(Array.from(toFloat32({ dtype: 'BF16', data: Uint16Array.from(bits) }))).toEqual(values);
  });

  it('rounds F64, passes F32 through, and takes unaligned bytes', () => {
    expect(Array.from(toFloat32({ dtype: 'F64', data: Float64Array.of(Math.PI) }))).toEqual([
      Math.fround(Math.PI),
    ]);
    const floats = Float32Array.of(1.5, -0.1);
    expect(toFloat32({ dtype: 'F32', data: floats }).buffer).toBe(floats.buffer);
    const shifted = new Uint8Array(9);
    shifted.set(new Uint8Array(floats.buffer), 1);
    expect(toFloat32({ dtype: 'F32', data: shifted.subarray(1) })).toEqual(floats);
  });

  it('decodes eight-bit floats (values of the OCP specification)', () => {
    const decode = (dtype: 'F8_E4M3' | 'F8_E5M2', ...bytes: number[]) =>
      Array.from(toFloat32({ dtype, data: Uint8Array.from(bytes) }));
    expect(decode('F8_E4M3', 0x38, 0xc4, 0x7e, 0x01, 0x07, 0x80)).toEqual([
      1,
      -3,
      448,
      2 ** -9,
      7 * 2 ** -9,
      -0,
    ]);
    expect(decode('F8_E5M2', 0x3c, 0xc2, 0x7b, 0x01, 0xfc, 0x80)).toEqual([
      1,
      -3,
      57344,
      2 ** -16,
      -Infinity,
      -0,
    ]);
    expect(decode('F8_E4M3', 0x7f, 0xff)).toEqual([Number.NaN, Number.NaN]);
  });

  it('refuses integers, and eight bits of exponent alone', () => {
    expect(() => toFloat32({ dtype: 'I64', data: BigInt64Array.of(1n) })).toThrow(
      'dtype: I64 cannot be turned into Float32Array; expected F32, F16, BF16, F8_E4M3, F8_E5M2 or F64',
    );
    expect(() => toFloat32({ dtype: 'F8_E8M0', data: Uint8Array.of(1) })).toThrow(/F8_E8M0 cannot/);
  });
});

describe('toFloat16', () => {
  it('gives every half-precision value its own bits back', () => {
    const all = Uint16Array.from({ length: 0x7c01 }, (_, bits) => bits);
    const both = Uint16Array.from([...all, ...all.map((bits) => bits | 0x8000)]);
    expect(toFloat16(toFloat32({ dtype: 'F16', data: both }))).toEqual(both);
    expect(toFloat16(Float32Array.of(Number.NaN))[0] & 0x7fff).toBeGreaterThan(0x7c00);
  });

  it('rounds to the nearest, ties to even', () => {
    const halves = toFloat32({ dtype: 'F16', data: Uint16Array.from({ length: 0x7c00 }, (_, i) => i) });
    for (let i = 0; i + 1 < halves.length; i += 7) {
      const middle = (halves[i] + halves[i + 1]) / 2;
      const gap = halves[i + 1] - halves[i];
      const near = Float32Array.of(middle - gap / 16, middle, middle + gap / 16);
      expect([...toFloat16(near)]).toEqual([i, i + (i % 2), i + 1]);
    }
    expect([...toFloat16(Float32Array.of(65519, 65520, -1e9, 2 ** -26))]).toEqual([
      0x7bff, 0x7c00, 0xfc00, 0,
    ]);
  });
});

describe('toNumbers', () => {
  it('reads signed, unsigned, 64-bit and boolean elements', () => {
    expect(toNumbers({ dtype: 'I64', data: BigInt64Array.of(-999n, 2n ** 53n - 1n) })).toEqual([
      -999,
      2 ** 53 - 1,
    ]);
    expect(toNumbers({ dtype: 'U16', data: Uint16Array.of(65535) })).toEqual([65535]);
    expect(toNumbers({ dtype: 'I8', data: new Uint8Array([0xff]) })).toEqual([-1]);
    expect(toNumbers({ dtype: 'BOOL', data: Uint8Array.of(1, 0) })).toEqual([1, 0]);
  });

  it('refuses what a number cannot hold, and floats', () => {
    expect(() => toNumbers({ dtype: 'U64', data: BigUint64Array.of(1n, 2n ** 53n) })).toThrow(
      'data: element 1 is 9007199254740992, beyond the exact range',
    );
    expect(() => toNumbers({ dtype: 'BF16', data: Uint16Array.of(1) })).toThrow(
      /BF16 cannot be turned into whole numbers/,
    );
  });
});

describe('typedArray', () => {
  it('refuses a part of an element', () => {
    expect(() => typedArray('F32', new Uint8Array(6))).toThrow(
      '6 bytes are not whole F32 elements of 4 bytes',
    );
  });
});

it('rounds to bfloat16 as to the nearest, ties to even, and keeps what is no number', () => {
  const tie = 1 + 2 ** -8;
  const values = [1, -0, tie, 1 + 3 * 2 ** -8, tie + 2 ** -20, 3.4e38, Number.NEGATIVE_INFINITY, Number.NaN];
  const back = toFloat32({ dtype: 'BF16', data: toBfloat16(Float32Array.from(values)) });
  expect([...back]).toEqual([
    ...[1, -0, 1, 1 + 2 ** -6, 1 + 2 ** -7],
    ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
  ]);
});
