/**
 * The random numbers of a run: standard normals by (seed, stream, index), made on the host, so that a seed
 * means the same noise on every adapter and in every browser.
 */
import { randomReference } from '@dwm/core-tensor';

/** One independent stream for each thing that is drawn. */
export const STREAMS = {
  latents: 0,
  start: 1,
  staticStart: 2,
  static: 3,
  hand: 4,
  steps: 16,
  live: 2 ** 20,
} as const;

/** `count` standard normals of one stream. Seeds are whole numbers below 2^53. */
export function normals(seed: number, stream: number, count: number): Float32Array {
  const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32)];
  return new Float32Array(randomReference({ count, distribution: 'normal', stream }, key));
}
