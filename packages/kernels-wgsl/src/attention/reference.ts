/** Attention in float64, by the definition. */
import { broadcastAccess } from '../pointwise/access.ts';
import type { AttentionSpec } from './sections.ts';

/** Values of q, k, v and, where there are some, of the bias and the mask. */
export interface AttentionValues {
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly bias?: ArrayLike<number>;
  readonly mask?: ArrayLike<number>;
}

/** `out` [batch, queries, heads, headDim] and `lse` [batch, heads, queries]. */
export function attentionReference(
  spec: Omit<AttentionSpec, 'dtypes'>,
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

/** Gradients of `attentionReference` for those of its `out` and, where given, its `lse`. */
export function attentionBackwardReference(
  spec: Omit<AttentionSpec, 'dtypes'>,
  values: AttentionValues,
  g: ArrayLike<number>,
  lseGradient?: ArrayLike<number>,
): { dq: Float64Array; dk: Float64Array; dv: Float64Array; dbias: Float64Array } {
  const { batch, queries, keys, heads, headDim, scale } = spec;
  const { q, k, v, bias, mask } = values;
  const { out, lse } = attentionReference(spec, values);
  const dq = new Float64Array(q.length);
  const dk = new Float64Array(k.length);
  const dv = new Float64Array(v.length);
  const dbias = new Float64Array(bias?.length ?? 0);
  const biasDims = bias && broadcastAccess(spec.bias!.shape, [batch, heads, queries, keys]).dims;
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < queries; i++) {
        const queryAt = ((b * queries + i) * heads + h) * headDim;
        const statistic = (b * heads + h) * queries + i;
        let delta = -(lseGradient?.[statistic] ?? 0);
        for (let d = 0; d < headDim; d++) delta += g[queryAt + d] * out[queryAt + d];
        for (let j = 0; j < keys; j++) {
          if (mask && mask[b * keys + j] === 0) continue;
          const at = ((b * keys + j) * heads + h) * headDim;
          const biasAt = biasDims ? [b, h, i, j].reduce((sum, c, d) => sum + c * biasDims[d].stride, 0) : 0;
          let score = bias?.[biasAt] ?? 0;
          let value = 0;
          for (let d = 0; d < headDim; d++) {
            score += scale * q[queryAt + d] * k[at + d];
            value += g[queryAt + d] * v[at + d];
          }
          const p = Math.exp(score - lse[statistic]);
          const ds = p * (value - delta);
          if (bias) dbias[biasAt] += ds;
          for (let d = 0; d < headDim; d++) {
            dq[queryAt + d] += scale * ds * k[at + d];
            dk[at + d] += scale * ds * q[queryAt + d];
            dv[at + d] += p * g[queryAt + d];
          }
        }
      }
  return { dq, dk, dv, dbias };
}
