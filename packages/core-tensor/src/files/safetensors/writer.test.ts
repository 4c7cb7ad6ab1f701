import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../errors.ts';
import { bytesSource } from '../byte-source.ts';
import { openSafetensors } from '../checkpoint.ts';
import type { SafetensorsTensor } from './dtypes.ts';
import { writeSafetensors } from './writer.ts';

describe('writeSafetensors', () => {
  it('writes the bytes of the format', () => {
    const bytes = writeSafetensors(
      new Map([['w', { dtype: 'U8', shape: [3], data: Uint8Array.of(7, 8, 9) }]]),
      {
        format: 'pt',
      },
    );
    const json = '{"__metadata__":{"format":"pt"},"w":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}';
    const padded = json.padEnd(Math.ceil(json.length / 8) * 8);
    expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(BigInt(padded.length));
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + padded.length))).toBe(padded);
    expect(Array.from(bytes.subarray(8 + padded.length))).toEqual([7, 8, 9]);
  });

  it('round-trips, keeps the given order and aligns every tensor', async () => {
    const tensors = new Map<string, SafetensorsTensor>([
      ['flags', { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) }],
      ['10', { dtype: 'F32', shape: [1, 2], data: Float32Array.of(1.5, -2) }],
      ['half "é"', { dtype: 'BF16', shape: [1], data: Uint16Array.of(0x3f80) }],
      ['2', { dtype: 'I64', shape: [], data: BigInt64Array.of(-5n) }],
      ['empty', { dtype: 'F64', shape: [0], data: new Float64Array(0) }],
    ]);
    const bytes = writeSafetensors(tensors, { step: '12' });
    const names = [...new TextDecoder().decode(bytes).matchAll(/"((?:[^"\\]|\\.)*)":\{"dtype"/g)];
    expect(names.map((match) => JSON.parse(`"${match[1]}"`))).toEqual([...tensors.keys()]);
    const checkpoint = await openSafetensors(bytesSource('m', bytes));
    expect(checkpoint.metadata).toEqual({ step: '12' });
    for (const [name, tensor] of tensors) {
      expect(await checkpoint.readTensor(name)).toEqual(tensor);
      expect(checkpoint.tensors.get(name)!.begin % tensor.data.BYTES_PER_ELEMENT).toBe(0);
    }
    expect(writeSafetensors(tensors, { step: '12' })).toEqual(bytes);
  });

  it('writes only the viewed part of a larger buffer', async () => {
    const data = Float32Array.of(0, 1, 2, 3).subarray(1, 3);
    const checkpoint = await openSafetensors(
      bytesSource('m', writeSafetensors(new Map([['x', { dtype: 'F32', shape: [2], data }]]))),
    );
    expect((await checkpoint.readTensor('x')).data).toEqual(Float32Array.of(1, 2));
  });

  it.each([
    [
      'data too short',
      'x',
      { dtype: 'F32', shape: [2], data: new Float32Array(1) },
      'tensor "x": dtype and shape take 8 bytes, its data has 4',
    ],
    [
      'a reserved name',
      '__metadata__',
      { dtype: 'U8', shape: [0], data: new Uint8Array(0) },
      'tensor "__metadata__": cannot be stored',
    ],
    [
      'an unknown dtype',
      'x',
      { dtype: 'F33', shape: [1], data: new Float32Array(1) },
      'cannot be stored as F33 of shape [1]',
    ],
    [
      'a negative size',
      'x',
      { dtype: 'F32', shape: [-1], data: new Float32Array(1) },
      'cannot be stored as F32 of shape [-1]',
    ],
  ])('refuses %s', (_, name, tensor, message) => {
    const write = () => writeSafetensors(new Map([[name, tensor as SafetensorsTensor]]));
    expect(write).toThrow(InvalidArgumentError);
    expect(write).toThrow(message);
  });

  it('refuses metadata that is not text', () => {
    expect(() => writeSafetensors(new Map(), { step: 3 as unknown as string })).toThrow(
      'metadata.step: expected a string, got 3',
    );
  });
});
