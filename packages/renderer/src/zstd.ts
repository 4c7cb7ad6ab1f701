/** Zstandard streams of a known size (RFC 8878), which neither a stream that ends early nor one that lies about itself gets past. */
import { Decompress } from 'fzstd';

/** What the format's own program takes by default. */
const MOST_WINDOW = 2 ** 27;
const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];

/** @returns exactly `bytes` bytes in no more memory than those and a window; undefined for a stream that does not hold them. */
export function inflateZstd(packed: Uint8Array, bytes: number): Uint8Array | undefined {
  if (windowOf(packed) > Math.max(bytes, MOST_WINDOW)) return undefined;
  const plain = new Uint8Array(bytes);
  let filled = 0;
  try {
    // Its one-shot function does not tell how much it wrote.
    new Decompress((chunk) => {
      plain.set(chunk, filled);
      filled += chunk.length;
    }).push(packed, true);
  } catch {
    // Whatever a decoder says of it, or that it holds more than there is room for.
    return undefined;
  }
  return filled === bytes ? plain : undefined;
}

/** What a decoder sets aside for the first frame, before it has seen any of it. */
function windowOf(packed: Uint8Array): number {
  if (packed.length < 6 || MAGIC.some((byte, i) => packed[i] !== byte)) return Number.POSITIVE_INFINITY;
  const [descriptor, window] = packed.subarray(4);
  if ((descriptor & 32) === 0) {
    const base = 2 ** (10 + (window >> 3));
    return base + (base / 8) * (window & 7);
  }
  // A single segment is as large as its content.
  const length = [1, 2, 4, 8][descriptor >> 6];
  const at = 5 + [0, 1, 2, 4][descriptor & 3];
  let size = length === 2 ? 256 : 0;
  for (let i = 0; i < length; i++) size += (packed[at + i] ?? 0) * 256 ** i;
  return size;
}
