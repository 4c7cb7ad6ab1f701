/** The matmul family: its variants, from the most to the least special. */
import type { DeviceCaps } from '../caps.ts';
import { type Choice, chooseVariant, type Lowering, type Variant } from '../kernel.ts';
import { half } from './half.ts';
import { lanes } from './lanes.ts';
import { registerTile } from './register-tile.ts';
import type { MatmulSpec } from './spec.ts';

export const MATMUL_VARIANTS: readonly Variant<MatmulSpec>[] = [lanes, half, registerTile];

/** @param choice a measured choice; it is ignored where its variant does not apply. */
export function lowerMatmul(spec: MatmulSpec, caps: DeviceCaps, choice?: Choice): Lowering {
  const variant = chooseVariant('matmul', MATMUL_VARIANTS, spec, caps, choice);
  return variant.lower(spec, caps, variant.name === choice?.variant ? choice.tuning : undefined);
}
