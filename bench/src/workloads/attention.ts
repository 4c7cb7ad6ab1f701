/** Self-attention of q, k, v [1, tokens, heads, headDim], scaled by 1 / sqrt(headDim). */
import { attentionReference } from '@dwm/kernels-wgsl/testing';
import { type Family, sampleOf } from './workload.ts';

export interface Attention {
  readonly op: 'attention';
  readonly tokens: number;
  readonly heads: number;
  readonly headDim: number;
}

const QUERIES = 12;

const shape = ({ tokens, heads, headDim }: Attention) => [1, tokens, heads, headDim];

export const attentionFamily: Family<Attention> = {
  inputs: (task) => ({ q: shape(task), k: shape(task), v: shape(task) }),
  weights: () => ({}),
  output: shape,
  flops: ({ tokens, heads, headDim }) => 4 * tokens * tokens * heads * headDim,
  expected({ tokens, heads, headDim }, { q, k, v }, random) {
    const width = heads * headDim;
    const queries = sampleOf(tokens, QUERIES, random);
    const at = queries.flatMap((token) => Array.from({ length: width }, (_, i) => token * width + i));
    const spec = { batch: 1, queries: queries.length, keys: tokens, heads, headDim, mask: false };
    const { out } = attentionReference(
      { ...spec, scale: 1 / Math.sqrt(headDim) },
      { q: at.map((i) => q[i]), k, v },
    );
    return { at, values: Array.from(out) };
  },
};
