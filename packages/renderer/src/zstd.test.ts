import { expect, test } from 'vitest';
import { inflateZstd } from './zstd.ts';

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
const BYTES = Uint8Array.from({ length: 40 }, (_, i) => (i * 7) % 256);

/** A frame of one block that is stored as it is. @param size the content size of its header. */
function stored(bytes: Uint8Array, size: number): Uint8Array {
  const block = (bytes.length << 3) | 1;
  return Uint8Array.from([...MAGIC, 0x20, size, block & 255, block >> 8, 0, ...bytes]);
}

test('a whole stream, and one of a byte that repeats', () => {
  expect(inflateZstd(stored(BYTES, 40), 40)).toEqual(BYTES);
  // 40 times 9, in a window of a kilobyte.
  const block = (40 << 3) | 0b011;
  const frame = Uint8Array.from([...MAGIC, 0, 0, block & 255, block >> 8, 0, 9]);
  expect(inflateZstd(frame, 40)).toEqual(new Uint8Array(40).fill(9));
});

test.each<[string, Uint8Array]>([
  ['ends early', stored(BYTES.subarray(0, 30), 40)],
  ['ends early and says so', stored(BYTES.subarray(0, 30), 30)],
  ['holds more', stored(Uint8Array.from([...BYTES, 1]), 40)],
  ['is cut in its block', stored(BYTES, 40).subarray(0, 30)],
  ['is cut in its header', stored(BYTES, 40).subarray(0, 5)],
  ['is no stream', BYTES],
  ['asks for a window of 3.75 TB', Uint8Array.from([...MAGIC, 0, 255, 9, 0, 0, 1])],
  ['claims 2 GB', Uint8Array.from([...MAGIC, 0xa0, 0xff, 0xff, 0xff, 0x7f, 9, 0, 0, 1])],
])('a stream that %s is not taken', (_, packed) => {
  expect(inflateZstd(packed, 40)).toBeUndefined();
});
