/**
 * The order of `numpy.random.default_rng(seed).permutation(count)`, so that a shuffled list has the same clips here: a
 * seed sequence, the generator PCG64 (XSL-RR 128/64), and a Fisher-Yates shuffle from the end whose places are drawn by
 * masking and drawing again.
 */

const MASK_32 = 2n ** 32n - 1n;
const MASK_64 = 2n ** 64n - 1n;
const MASK_128 = 2n ** 128n - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

const times = (a: number, b: number) => Math.imul(a, b) >>> 0;

/** A seed's words stirred in a pool of four, and eight drawn from it. */
function seedWords(seed: number): Uint32Array {
  const entropy = [seed >>> 0, Math.floor(seed / 2 ** 32)].filter((word, i) => i === 0 || word > 0);
  let hash = 0x43b0d7e5;
  const hashed = (word: number) => {
    let value = (word ^ hash) >>> 0;
    hash = times(hash, 0x931e8875);
    value = times(value, hash);
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mixed = (x: number, y: number) => {
    const value = (times(x, 0xca01f9dd) - times(y, 0x4973f715)) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const pool = Array.from({ length: 4 }, (_, i) => hashed(entropy[i] ?? 0));
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mixed(pool[to], hashed(pool[from]));
  let out = 0x8b51f9dd;
  return Uint32Array.from({ length: 8 }, (_, i) => {
    let value = (pool[i % 4] ^ out) >>> 0;
    out = times(out, 0x58f38ded);
    value = times(value, out);
    return (value ^ (value >>> 16)) >>> 0;
  });
}

/** Random words of 32 bits, two of each of the generator's, the lower half first. */
function* words(seed: number): Generator<bigint> {
  const given = seedWords(seed);
  const word = (i: number) => (BigInt(given[2 * i + 1]) << 32n) | BigInt(given[2 * i]);
  const increment = ((((word(2) << 64n) | word(3)) << 1n) & MASK_128) | 1n;
  const step = (state: bigint) => (state * MULTIPLIER + increment) & MASK_128;
  let state = step((increment + ((word(0) << 64n) | word(1))) & MASK_128);
  for (;;) {
    state = step(state);
    const folded = (state >> 64n) ^ (state & MASK_64);
    const turn = state >> 122n;
    const value = ((folded >> turn) | (folded << (64n - turn))) & MASK_64;
    yield value & MASK_32;
    yield value >> 32n;
  }
}

/** @param seed below 2^53. @returns 0 to count - 1 in NumPy's order, for less than 2^32 of them. */
export function numpyOrder(seed: number, count: number): number[] {
  const random = words(seed);
  const next = () => random.next().value as bigint;
  const upTo = (most: number) => {
    const mask = BigInt(2 ** Math.ceil(Math.log2(most + 1)) - 1);
    for (;;) {
      const drawn = Number(next() & mask);
      if (drawn <= most) return drawn;
    }
  };
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = upTo(i);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
