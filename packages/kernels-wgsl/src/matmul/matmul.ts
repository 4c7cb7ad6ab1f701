/** The matmul family: its variants, from the most to the least special. */
import type { DeviceCaps } from '../caps.ts';
import { chooseVariant, type Lowering, type Variant } from '../kernel.ts';
import { half } from './half.ts';
import { registerTile } from './register-tile.ts';
import type { MatmulSpec } from './spec.ts';

export const MATMUL_VARIANTS: readonly Variant<MatmulSpec>[] = [half, registerTile];

export const lowerMatmul = (spec: MatmulSpec, caps: DeviceCaps): Lowering =>
  chooseVariant('matmul', MATMUL_VARIANTS, spec, caps).lower(spec, caps);
