/**
 * Softmax attention by blocks of keys (flash attention: Dao et al. 2022, with the online softmax of Milakov and
 * Gimelshein 2018), in f32:
 *
 *     s[j]  = scale · q · k[j] + bias[j]           keys with mask[j] = 0 left out
 *     out   = sum of exp(s[j] - m) v[j] / l,       m = max of s, l = sum of exp(s[j] - m)
 *     lse   = m + log l
 *
 * A query without any key gives out = 0 and lse = -1e30, so that exp(s - lse) is 0 for a masked s.
 * Scores below -1e30 (a bias of -infinity, say) count as masked.
 *
 * Layout: q and out [batch, queries, heads, headDim], k and v [batch, keys, heads, headDim], bias any shape
 * that broadcasts to [batch, heads, queries, keys], mask u32 [batch, keys], lse [batch, heads, queries].
 * Inputs in that order, absent ones left out; outputs out and lse are f32.
 */
import { cpuLanes } from '../caps.ts';
import { type KernelTarget, type Lowering, lowerChosen, type TrialProblem, type Variant } from '../kernel.ts';
import { elementCount } from '../pointwise/access.ts';
import { matrixAttention } from './matrix.ts';
import { rowsCandidates, rowsKernel } from './rows.ts';
import { type AttentionSpec, lowerForward } from './sections.ts';
import { queriesFit, tiledKernel } from './tiled.ts';

export type { AttentionSpec } from './sections.ts';

/**
 * From the most to the least special:
 *
 *     matrix     f16 on matrix units
 *     rows       CPU adapters: an invocation keeps whole rows
 *     tiled      GPUs in f32, and the fallback everywhere
 */
export const ATTENTION_VARIANTS: readonly Variant<AttentionSpec>[] = [
  matrixAttention,
  {
    name: 'rows',
    applies: (_, caps) => cpuLanes(caps) > 0,
    candidates: (spec, caps) => rowsCandidates(spec, cpuLanes(caps)).map((rows) => ({ rows })),
    lower(spec, caps, tuning) {
      const lanes = cpuLanes(caps);
      const rows = tuning?.rows ?? rowsCandidates(spec, lanes)[0];
      return lowerForward(spec, caps, rowsKernel(spec, lanes, rows));
    },
  },
  {
    name: 'tiled',
    applies: () => true,
    candidates: (spec, caps) =>
      queriesFit(spec, caps) ? [{ resident: 1 }, { resident: 0 }] : [{ resident: 0 }],
    lower: (spec, caps, tuning) =>
      lowerForward(spec, caps, tiledKernel(spec, tuning ? tuning.resident === 1 : queriesFit(spec, caps))),
  },
];

/**
 * Attention by the variant that was chosen for the class of `spec`, else by the first that applies: inputs q,
 * k, v, then bias and mask.
 */
export const lowerAttention = (spec: AttentionSpec, target: KernelTarget): Lowering =>
  lowerChosen('attention', ATTENTION_VARIANTS, spec, target, problemOf);

/** More queries than the largest tile has, and keys that end within a block. */
function problemOf(spec: AttentionSpec): TrialProblem<AttentionSpec> {
  const [batch, heads] = [Math.min(spec.batch, 2), Math.min(spec.heads, 2)];
  const [queries, keys] = [135, 75];
  const full = [batch, heads, queries, keys];
  const bias = spec.bias && {
    ...spec.bias,
    shape: spec.bias.shape.map((size, d, { length }) => (size === 1 ? 1 : full[4 - length + d])),
  };
  const small = { ...spec, batch, heads, queries, keys, bias, halfRows: undefined };
  const row = heads * spec.headDim;
  return {
    spec: small,
    plain: { ...small, halfPrecision: false },
    inputs: [
      { count: batch * queries * row, dtype: spec.dtypes.q },
      { count: batch * keys * row, dtype: spec.dtypes.k },
      { count: batch * keys * row, dtype: spec.dtypes.v },
      ...(bias ? [{ count: elementCount(bias.shape), dtype: bias.dtype }] : []),
      ...(spec.mask ? [{ count: batch * keys, dtype: 'u32' as const }] : []),
    ],
    outputs: [batch * queries * row, batch * heads * queries],
  };
}
