/** The random numbers of `random.ts` in float64. */
import { philox4x32 } from './philox.ts';
import type { RandomSpec } from './random.ts';

/** The same numbers in float64, from the same bits. */
export function randomReference(
  { count, distribution, stream }: RandomSpec,
  seed: readonly [number, number],
): Float64Array {
  const out = new Float64Array(Math.ceil(count / 4) * 4);
  for (let i = 0; i < count; i += 4) {
    const n = philox4x32([i / 4, 0, stream, 0], seed).map((word) => word >>> 8);
    if (distribution === 'uniform')
      out.set(
        n.map((value) => value / 2 ** 24),
        i,
      );
    else {
      for (const half of [0, 2]) {
        const radius = Math.sqrt(-2 * Math.log((n[half] + 1) / 2 ** 24));
        const angle = (2 * Math.PI * n[half + 1]) / 2 ** 24;
        out.set([radius * Math.cos(angle), radius * Math.sin(angle)], i + half);
      }
    }
  }
  return out.subarray(0, count);
}
