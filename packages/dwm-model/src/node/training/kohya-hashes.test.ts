import { createHash } from 'node:crypto';
import { type SafetensorsTensor, writeSafetensors } from '@dwm/core-tensor/files';
import { expect, test } from 'vitest';
import { kohyaHashes } from './kohya-hashes.ts';

/** Tensors whose bounds fall before, within and after the stretch of 64 kB from the first megabyte on. */
const sizes = { a: 1_000_000, b: 60_000, c: 10_001, d: 200_000 };
const tensors = new Map<string, SafetensorsTensor>(
  Object.entries(sizes).map(([name, count], i) => [
    name,
    { dtype: 'U8', shape: [count], data: Uint8Array.from({ length: count }, (_, k) => (k * 31 + i) % 251) },
  ]),
);

test('the short hash is of 64 kB from the first megabyte of the file on, the long one of all numbers', async () => {
  const file = writeSafetensors(tensors);
  const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const head = 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const wanted = {
    sshs_model_hash: sha(file.subarray(head)),
    sshs_legacy_hash: sha(file.subarray(0x100000, 0x110000)).slice(0, 8),
  };
  expect(await kohyaHashes(tensors)).toEqual(wanted);
  // Tensors that are made while they are written, in chunks.
  const streamed = new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      {
        ...tensor,
        data: async function* () {
          const bytes = tensor.data as Uint8Array;
          for (let at = 0; at < bytes.length; at += 7777) yield bytes.subarray(at, at + 7777);
        },
      },
    ]),
  );
  expect(await kohyaHashes(streamed)).toEqual(wanted);
});
