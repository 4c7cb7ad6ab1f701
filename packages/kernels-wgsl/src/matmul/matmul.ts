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
import { type Lowering, lowerChosen, type Variant } from '../kernel.ts';
import { dotRows } from './dot-rows.ts';
import { half } from './half.ts';
import { lanes } from './lanes.ts';
import { matrix } from './matrix.ts';
import type { MatmulSpec } from './spec.ts';
import { staged } from './staged.ts';

export const MATMUL_VARIANTS: readonly Variant<MatmulSpec>[] = [matrix, half, lanes, dotRows, staged];

export const lowerMatmul = (spec: MatmulSpec, caps: DeviceCaps): Lowering =>
  lowerChosen('matmul', MATMUL_VARIANTS, spec, caps);
