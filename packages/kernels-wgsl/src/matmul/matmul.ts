/**
 * The matmul family: its variants, from the most to the least special. `spec.ts` has the maths and the layout.
 *
 *     matrix     f16 on matrix units
 *     half       f16 without them
 *     lanes      CPU adapters: lanes of a vector are columns
 *     dot-rows   GPUs, at most 8 rows
 *     staged     GPUs in f32, and the fallback everywhere
 */
import type { DeviceCaps } from '../caps.ts';
import { type Choice, choose, type Lowering, type Variant } from '../kernel.ts';
import { dotRows } from './dot-rows.ts';
import { half } from './half.ts';
import { lanes } from './lanes.ts';
import { matrix } from './matrix.ts';
import type { MatmulSpec } from './spec.ts';
import { staged } from './staged.ts';

export const MATMUL_VARIANTS: readonly Variant<MatmulSpec>[] = [matrix, half, lanes, dotRows, staged];

/** @param choice a measured choice; ignored where it does not apply. */
export function lowerMatmul(spec: MatmulSpec, caps: DeviceCaps, choice?: Choice): Lowering {
  const { variant, tuning } = choose('matmul', MATMUL_VARIANTS, spec, caps, choice);
  return variant.lower(spec, caps, tuning);
}
