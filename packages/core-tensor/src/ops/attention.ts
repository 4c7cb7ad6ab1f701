/** Softmax attention over token-major tensors, without ever holding the matrix of scores. */
import { bytesOf, elementCount, lowerAttention } from '@dwm/kernels-wgsl';
import { record, type Tensor, type TensorSpec } from '../tensor.ts';
import { broadcastShapes } from './pointwise.ts';

export interface AttentionOptions {
  /** Multiplies q · k; 1 / sqrt(headDim) by default. */
  readonly scale?: number;
  /** Added to the scores; broadcasts to [batch, heads, queries, keys]. */
  readonly bias?: Tensor;
  /** u32 [batch, keys]; keys with 0 are not attended to. */
  readonly mask?: Tensor;
}

/**
 * softmax(scale · q kᵀ + bias) v for q [batch, queries, heads, headDim] and k, v [batch, keys, heads, headDim]:
 * [batch, queries, heads, headDim] in f32. A query with no key to attend to gives zeros.
 * @throws when shapes or dtypes do not match, or headDim is not a multiple of 4 from 8 to 128.
 */
export const attention = (q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor =>
  recordAttention(q, k, v, options, false)[0];

/**
 * `attention` and the log-sum-exp of each query's scores, [batch, heads, queries]: what a backward pass needs to
 * compute the weights again, as exp(score - lse). -1e30 for a query with no key.
 */
export function attentionWithLse(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): [out: Tensor, lse: Tensor] {
  const [out, lse] = recordAttention(q, k, v, options, true);
  return [out, lse];
}

function recordAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { scale, bias, mask }: AttentionOptions,
  lse: boolean,
): Tensor[] {
  const [batch, queries, heads, headDim] = q.shape;
  const keys = k.shape[1];
  if (q.shape.length !== 4 || k.shape.join() !== [batch, keys, heads, headDim].join()) {
    throw new Error(
      `attention: q [${q.shape}] and k [${k.shape}] must be [batch, tokens, heads, headDim] and differ in tokens only`,
    );
  }
  if (v.shape.join() !== k.shape.join()) {
    throw new Error(`attention: v [${v.shape}] must have the shape of k [${k.shape}]`);
  }
  if (headDim % 4 !== 0 || headDim < 8 || headDim > 128) {
    throw new Error(`attention: headDim is ${headDim}, but must be a multiple of 4 from 8 to 128`);
  }
  for (const [name, tensor] of Object.entries({ q, k, v, ...(bias && { bias }) })) {
    if (/^[iu]/.test(tensor.dtype))
      throw new Error(`attention: ${name} is ${tensor.dtype}, but must be a float`);
  }
  const scores = [batch, heads, queries, keys];
  if (bias && !broadcasts(bias.shape, scores)) {
    throw new Error(
      `attention: bias [${bias.shape}] does not broadcast to [batch, heads, queries, keys] = [${scores}]`,
    );
  }
  if (mask && (mask.dtype !== 'u32' || mask.shape.join() !== [batch, keys].join())) {
    throw new Error(
      `attention: mask is ${mask.dtype} [${mask.shape}], but must be u32 [batch, keys] = [${batch},${keys}]`,
    );
  }
  const inputs = [q, k, v, ...(bias ? [bias] : []), ...(mask ? [mask] : [])];
  const outputs: TensorSpec[] = [
    { shape: q.shape, dtype: 'f32' },
    ...(lse ? [{ shape: [batch, heads, queries], dtype: 'f32' as const }] : []),
  ];
  const bytes = (tensor: TensorSpec) => elementCount(tensor.shape) * bytesOf(tensor.dtype);
  return record(
    {
      kind: 'kernel',
      name: 'attention',
      cost: {
        flops: 4 * elementCount(scores) * headDim,
        bytes: [...inputs, ...outputs].reduce((sum, tensor) => sum + bytes(tensor), 0),
      },
      epilogue: false,
      bindings: inputs.length + outputs.length + 1,
      lower: ({ caps }) =>
        lowerAttention(
          {
            ...{ batch, queries, keys, heads, headDim },
            dtypes: { q: q.dtype, k: k.dtype, v: v.dtype },
            scale: scale ?? 1 / Math.sqrt(headDim),
            bias: bias && { shape: bias.shape, dtype: bias.dtype },
            mask: mask !== undefined,
            lse,
          },
          caps,
        ),
    },
    inputs,
    outputs,
  );
}

/** Whether a tensor of shape `from` broadcasts to exactly `to`. */
function broadcasts(from: readonly number[], to: readonly number[]): boolean {
  try {
    return broadcastShapes(from, to).join() === to.join();
  } catch {
    return false;
  }
}
