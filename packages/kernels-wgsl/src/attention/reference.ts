/** Attention in float64, by the definition. */
import { broadcastAccess } from '../pointwise/access.ts';
import type { AttentionSpec } from './pieces.ts';

export interface AttentionValues {
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly bias?: ArrayLike<number>;
  readonly mask?: ArrayLike<number>;
}

/** `out` [batch, queries, heads, headDim] and `lse` [batch, heads, queries]. */
export function attentionReference(
  spec: Omit<AttentionSpec, 'dtypes' | 'lse'>,
  { q, k, v, bias, mask }: AttentionValues,
): { out: Float64Array; lse: Float64Array } {
  const { batch, queries, keys, heads, headDim, scale } = spec;
  const out = new Float64Array(batch * queries * heads * headDim);
  const lse = new Float64Array(batch * heads * queries);
  const biasDims = bias && broadcastAccess(spec.bias!.shape, [batch, heads, queries, keys]).dims;
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < queries; i++) {
        const queryAt = ((b * queries + i) * heads + h) * headDim;
        const scores: { at: number; score: number }[] = [];
        for (let j = 0; j < keys; j++) {
          if (mask && mask[b * keys + j] === 0) continue;
          const at = ((b * keys + j) * heads + h) * headDim;
          let score = 0;
          for (let d = 0; d < headDim; d++) score += q[queryAt + d] * k[at + d];
          score *= scale;
          if (biasDims) score += bias[[b, h, i, j].reduce((sum, c, d) => sum + c * biasDims[d].stride, 0)];
          scores.push({ at, score });
        }
        const maximum = scores.reduce((m, { score }) => Math.max(m, score), -1e30);
        let total = 0;
        for (const { at, score } of scores) {
          const weight = Math.exp(score - maximum);
          total += weight;
          for (let d = 0; d < headDim; d++) out[queryAt + d] += weight * v[at + d];
        }
        for (let d = 0; d < headDim && total > 0; d++) out[queryAt + d] /= total;
        lse[(b * heads + h) * queries + i] = total > 0 ? maximum + Math.log(total) : -1e30;
      }
    }
  }
  return { out, lse };
}
