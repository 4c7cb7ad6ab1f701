import { relativeError, seeded } from '@dwm/core-tensor/testing';
import { describe, expect, test } from 'vitest';
import { openNpz, parseNpy, shapedArray } from './npy.ts';
import { type ArrayToSave, array, fuzz, npy, npz } from './testing.ts';

const random = seeded(3);
const values = Array.from({ length: 105 }, () => random() - 0.5);
const parse = (saved: ArrayToSave) => parseNpy({ name: 'a.npy', bytes: npy(saved) });

describe('.npy', () => {
  test.each(['<f8', '<f4'])('numbers of %s in C order', (descr) => {
    const { shape, data } = parse(array([3, 5, 7], values, descr));
    expect(shape).toEqual([3, 5, 7]);
    expect(relativeError(data, values)).toBeLessThan(descr === '<f8' ? 1e-16 : 1e-7);
  });

  test.each([
    ['<i8', [-1, 0, 2 ** 40]],
    ['<i4', [-1, 2 ** 31 - 1]],
    ['<u4', [0, 4294967295]],
  ])('integers of %s', (descr, integers) => {
    expect([...parse(array([integers.length], integers, descr)).data]).toEqual(integers);
  });

  test('half floats, bytes, booleans and the other byte order', () => {
    const half = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00).buffer);
    expect([...parse({ descr: '<f2', shape: [5], bytes: half }).data]).toEqual([
      1,
      -2,
      2 ** -24,
      65504,
      Number.POSITIVE_INFINITY,
    ]);
    expect([...parse({ descr: '|u1', shape: [2], bytes: Uint8Array.of(7, 255) }).data]).toEqual([7, 255]);
    expect([...parse({ descr: '|b1', shape: [2], bytes: Uint8Array.of(0, 1) }).data]).toEqual([0, 1]);
    expect([...parse({ descr: '>i2', shape: [1], bytes: Uint8Array.of(1, 2) }).data]).toEqual([258]);
  });

  test('Fortran order is turned into C order', () => {
    const [a, b, c] = [3, 5, 7];
    const stored = new Float64Array(a * b * c);
    for (let i = 0; i < a; i++)
      for (let j = 0; j < b; j++)
        for (let k = 0; k < c; k++) stored[i + a * (j + b * k)] = values[(i * b + j) * c + k];
    const { data } = parse({ ...array([a, b, c], stored), fortran: true });
    expect([...data]).toEqual(values);
  });

  test('scalars and empty arrays', () => {
    expect(parse(array([], [4]))).toEqual({ shape: [], data: Float64Array.of(4) });
    expect(parse(array([0, 3], []))).toEqual({ shape: [0, 3], data: new Float64Array(0) });
  });

  test('what is not an array of numbers is refused in one line', () => {
    const one = new Uint8Array(8);
    expect(() => parse({ descr: '|O', shape: [1], bytes: one })).toThrow(/Python objects.*numpy\.savez/);
    expect(() => parse({ descr: '<U3', shape: [], bytes: one })).toThrow('dtype "<U3"');
    expect(() => parse({ descr: '<f8', shape: [1e9, 10], bytes: one })).toThrow('but 8 bytes of data');
    expect(() => parse({ descr: '<f8', shape: [2 ** 40, 2 ** 40, 2 ** 40], bytes: one })).toThrow('8 bytes');
    expect(() => parse({ descr: "<f8', 'x': __import__('os')", shape: [1], bytes: one })).toThrow('header');
    expect(() => parseNpy({ name: 'x', bytes: new Uint8Array(20) })).toThrow('x: is not an .npy array');
    expect(() => parseNpy({ name: 'x', bytes: npy(array([3], [1, 2, 3])).subarray(0, 30) })).toThrow(
      'header up to',
    );
  });
});

describe('.npz', () => {
  const arrays = {
    a: array([3, 35], values),
    b: array([2], [1, 2], '<i8'),
    note: { descr: '<U3', shape: [], bytes: new Uint8Array(12) },
  };

  test.each([false, true])('arrays of a file, compressed: %s', async (compress) => {
    const file = await openNpz({ name: 'm.npz', bytes: npz(arrays, compress) });
    expect(file.arrays).toEqual(['a', 'b', 'note']);
    expect([...(await file.array('a')).data]).toEqual(values);
    expect([...(await file.array('b')).data]).toEqual([1, 2]);
    await expect(file.array('c')).rejects.toThrow('m.npz: has no array "c"; it holds "a", "b", "note"');
    await expect(shapedArray(file, 'a', [-1, 36])).rejects.toThrow('a has shape [3,35], expected [N,36]');
    await expect(file.array('note')).rejects.toThrow('m.npz: note: has dtype');
  });

  test('a file inside a larger buffer', async () => {
    const bytes = npz(arrays, true);
    const larger = new Uint8Array(bytes.length + 13);
    larger.set(bytes, 13);
    const file = await openNpz({ name: 'm.npz', bytes: larger.subarray(13) });
    expect([...(await file.array('a')).data]).toEqual(values);
  });

  /** The file with one 32-bit field of its first directory entry replaced. */
  const claiming = async (offset: number, value: number, compress: boolean) => {
    const bytes = Buffer.from(npz(arrays, compress));
    bytes.writeUInt32LE(value, bytes.readUInt32LE(bytes.length - 6) + offset);
    return (await openNpz({ name: 'm.npz', bytes })).array('a');
  };

  test('sizes that lie are found before anything is allocated', async () => {
    for (const compress of [false, true]) {
      await expect(claiming(24, 4e9, compress)).rejects.toThrow('"a.npy" claims 4000000000 bytes');
      await expect(claiming(24, 2e8, compress)).rejects.toThrow('"a.npy" claims 200000000 bytes');
      await expect(claiming(24, 100, compress)).rejects.toThrow(/claims 100 bytes|unpack to the 100 bytes/);
      await expect(claiming(20, 4e9, compress)).rejects.toThrow('the file has');
      await expect(claiming(16, 1, compress)).rejects.toThrow('checksum');
      await expect(claiming(42, 5, compress)).rejects.toThrow('is not where the directory says');
    }
    await expect(claiming(24, 1000, true)).rejects.toThrow('does not unpack to the 1000 bytes');
  });

  test('damaged files end in one line', async () => {
    for (const compress of [false, true]) {
      const errors = await fuzz(npz(arrays, compress), 500, random, async (bytes) => {
        const file = await openNpz({ name: 'm.npz', bytes });
        for (const name of file.arrays) await file.array(name);
      });
      expect(errors).toBeGreaterThan(400);
    }
    await expect(openNpz({ name: 'x', bytes: new Uint8Array(0) })).rejects.toThrow('no zip directory');
  });
});
