/**
 * Philox 4x32-10, a counter-based generator: ten rounds turn a 128-bit counter and a 64-bit key into four words
 * (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). No state: any number can be had alone.
 */

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85] as const;
const ROUNDS = 10;

/** Upper 32 bits of the product of two words, by halves. */
function multiplyHigh(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const cross = aLow * bHigh + Math.floor((aLow * bLow) / 65536);
  const other = aHigh * bLow + (cross % 65536);
  return (aHigh * bHigh + Math.floor(cross / 65536) + Math.floor(other / 65536)) >>> 0;
}

/** The four words of a counter of four words and a key of two. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    [c0, c1, c2, c3] = [
      (multiplyHigh(MULTIPLIERS[1], c2) ^ c1 ^ k0) >>> 0,
      Math.imul(MULTIPLIERS[1], c2) >>> 0,
      (multiplyHigh(MULTIPLIERS[0], c0) ^ c3 ^ k1) >>> 0,
      Math.imul(MULTIPLIERS[0], c0) >>> 0,
    ];
    k0 = (k0 + KEY_STEPS[0]) >>> 0;
    k1 = (k1 + KEY_STEPS[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** `fn philox4x32(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32>`, the same function. */
export const PHILOX_WGSL = `fn multiplyHigh(a: u32, b: u32) -> u32 {
  let aLow = a & 0xffffu;
  let aHigh = a >> 16u;
  let bLow = b & 0xffffu;
  let bHigh = b >> 16u;
  let crossed = aLow * bHigh + ((aLow * bLow) >> 16u);
  let other = aHigh * bLow + (crossed & 0xffffu);
  return aHigh * bHigh + (crossed >> 16u) + (other >> 16u);
}
fn philox4x32(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var c = counter;
  var k = key;
  for (var round = 0u; round < ${ROUNDS}u; round++) {
    c = vec4<u32>(
      multiplyHigh(${MULTIPLIERS[1]}u, c.z) ^ c.y ^ k.x,
      ${MULTIPLIERS[1]}u * c.z,
      multiplyHigh(${MULTIPLIERS[0]}u, c.x) ^ c.w ^ k.y,
      ${MULTIPLIERS[0]}u * c.x,
    );
    k += vec2<u32>(${KEY_STEPS[0]}u, ${KEY_STEPS[1]}u);
  }
  return c;
}
`;
