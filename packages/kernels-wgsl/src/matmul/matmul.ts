/**
 * The matmul family: its variants, from the most to the least special. `spec.ts` has the maths and the layout.
 *
 *     matrix     f16 on matrix units
 *     lanes      CPU adapters: lanes of a vector are columns
 *     half       f16 without matrix units; a CPU takes halves apart one by one
 *     dot-rows   GPUs, at most 8 rows
 *     staged     GPUs in f32, and the fallback everywhere
 */
import { type KernelTarget, type Lowering, lowerChosen, type TrialProblem, type Variant } from '../kernel.ts';
import { dotRows } from './dot-rows.ts';
import { half } from './half.ts';
import { lanes } from './lanes.ts';
import { matrix } from './matrix.ts';
import { inputCount, type MatmulSpec, scaleCount } from './spec.ts';
import { staged } from './staged.ts';

/** All ways to multiply; the first that applies is the default. */
export const MATMUL_VARIANTS: readonly Variant<MatmulSpec>[] = [matrix, lanes, half, dotRows, staged];

/**
 * The product by the variant that was chosen for the class of `spec`, else by the first that applies: inputs a and
 * b, the scales and offsets that `scaledB` says, then the epilogue's.
 */
export const lowerMatmul = (spec: MatmulSpec, target: KernelTarget): Lowering =>
  lowerChosen('matmul', MATMUL_VARIANTS, spec, target, problemOf);

/** More rows and columns than the largest tile has, and a K that ends within a step. */
function problemOf(spec: MatmulSpec): TrialProblem<MatmulSpec> {
  const [batch, m, n] = [Math.min(spec.batch, 2), 131, 137];
  const { scaledB } = spec;
  const k = scaledB ? 2 * scaledB.groupSize : 70;
  const small = {
    ...spec,
    batch,
    m,
    n,
    k,
    dtypeOut: 'f32' as const,
    epilogue: undefined,
    halfRows: undefined,
  };
  return {
    spec: small,
    plain: { ...small, halfPrecision: false },
    inputs: [
      { count: batch * m * k, dtype: spec.dtypeA },
      { count: (spec.sharedB ? 1 : batch) * n * k, dtype: spec.dtypeB },
      ...Array.from({ length: inputCount(spec) - 2 }, () => ({
        count: scaleCount(small),
        dtype: scaledB!.dtype,
      })),
    ],
    outputs: [batch * m * n],
  };
}
