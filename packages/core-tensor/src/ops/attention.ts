/** Softmax attention over token-major tensors, without ever holding the matrix of scores. */
import {
  type AttentionSpec,
  bytesOf,
  elementCount,
  lowerAttention,
  lowerAttentionBackward,
  lowerAttentionBiasBackward,
  lowerAttentionStatistics,
} from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { constant, type KernelOp, record, type Tensor, type TensorSpec, type Vjp } from '../tensor.ts';
import { broadcastShapes, where } from './pointwise.ts';
import { broadcastTo, reshape } from './views.ts';

/** Options of `attention`. */
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
  attentionWithLse(q, k, v, options)[0];

/**
 * `attention` and the log-sum-exp of each query's scores, [batch, heads, queries]: what a backward pass needs to
 * compute the weights again, as exp(score - lse). -1e30 for a query with no key.
 */
export function attentionWithLse(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { scale, bias, mask }: AttentionOptions = {},
): [out: Tensor, lse: Tensor] {
  const [batch, queries, heads, headDim] = q.shape;
  const keys = k.shape[1];
  if (q.shape.length !== 4 || k.shape.join() !== [batch, keys, heads, headDim].join()) {
    throw new InvalidArgumentError(
      'attention',
      `q [${q.shape}] and k [${k.shape}] must be [batch, tokens, heads, headDim] and differ in tokens only`,
    );
  }
  if (v.shape.join() !== k.shape.join()) {
    throw new InvalidArgumentError('attention', `v [${v.shape}] must have the shape of k [${k.shape}]`);
  }
  if (headDim % 4 !== 0 || headDim < 8 || headDim > 128) {
    throw new InvalidArgumentError(
      'attention',
      `headDim is ${headDim}, but must be a multiple of 4 from 8 to 128`,
    );
  }
  for (const [name, tensor] of Object.entries({ q, k, v, ...(bias && { bias }) })) {
    if (/^[iu]/.test(tensor.dtype))
      throw new InvalidArgumentError('attention', `${name} is ${tensor.dtype}, but must be a float`);
  }
  const scores = [batch, heads, queries, keys];
  if (bias && !broadcasts(bias.shape, scores)) {
    throw new InvalidArgumentError(
      'attention',
      `bias [${bias.shape}] does not broadcast to [batch, heads, queries, keys] = [${scores}]`,
    );
  }
  if (mask && (mask.dtype !== 'u32' || mask.shape.join() !== [batch, keys].join())) {
    throw new InvalidArgumentError(
      'attention',
      `mask is ${mask.dtype} [${mask.shape}], but must be u32 [batch, keys] = [${batch},${keys}]`,
    );
  }
  const spec: AttentionSpec = {
    ...{ batch, queries, keys, heads, headDim },
    dtypes: { q: q.dtype, k: k.dtype, v: v.dtype },
    scale: scale ?? 1 / Math.sqrt(headDim),
    bias: bias && { shape: bias.shape, dtype: bias.dtype },
    mask: mask !== undefined,
  };
  const inputs = [q, k, v, ...(bias ? [bias] : []), ...(mask ? [mask] : [])];
  // The log-sum-exp is small beside the output, so it is always there for a backward pass.
  const [out, lse] = recordKernel(
    {
      name: 'attention',
      products: 2,
      vjp: vjpOf(spec),
      halfRows: true,
      lower: (target, epilogue) =>
        lowerAttention(
          { ...spec, halfPrecision: target.precision === 'f16', halfRows: epilogue?.halfRows },
          target,
        ),
    },
    spec,
    inputs,
    [q.shape, [batch, heads, queries]],
    // One more for the state of a softmax that carries on.
    inputs.length + 3,
  );
  return [out, lse];
}

/** Records a kernel op of this family; `products` counts multiply-adds of a component of a score. */
function recordKernel(
  op: Pick<KernelOp, 'name' | 'vjp' | 'halfRows' | 'lower'> & { products: number },
  { batch, heads, queries, keys, headDim }: AttentionSpec,
  inputs: readonly Tensor[],
  shapes: readonly (readonly number[])[],
  bindings = inputs.length + shapes.length,
): Tensor[] {
  const outputs = shapes.map((shape): TensorSpec => ({ shape, dtype: 'f32' }));
  const bytes = (tensor: TensorSpec) => elementCount(tensor.shape) * bytesOf(tensor.dtype);
  const { products, ...rest } = op;
  return record(
    {
      ...rest,
      kind: 'kernel',
      cost: {
        flops: 2 * products * batch * heads * queries * keys * headDim,
        bytes: [...inputs, ...outputs].reduce((sum, tensor) => sum + bytes(tensor), 0),
      },
      epilogue: false,
      bindings,
    },
    inputs,
    outputs,
  );
}

/** Gradients of q, k, v and the bias, from the log-sum-exp and the scores computed again. */
const vjpOf =
  (spec: AttentionSpec): Vjp =>
  ({ inputs, outputs: [out, lse], gradients: [gradient, lseGradient], needed }) => {
    const [q, k, v] = inputs;
    const bias = spec.bias && inputs[3];
    const mask = spec.mask ? inputs[bias ? 4 : 3] : undefined;
    const needsBias = bias !== undefined && needed[3];
    if (!(gradient || lseGradient) || !(needed[0] || needed[1] || needed[2] || needsBias)) return [];
    const g = gradient ?? broadcastTo(constant(new Float32Array(1), [1]), out.shape);
    const { batch, heads, queries, keys } = spec;

    const [statistics] = recordKernel(
      {
        name: 'attentionStatistics',
        products: 0,
        lower: ({ caps }) => lowerAttentionStatistics(spec, lseGradient !== undefined, caps),
      },
      spec,
      [out, g, lse, ...(lseGradient ? [lseGradient] : [])],
      [[batch, heads, queries, 2]],
    );
    const read = [q, k, v, g, statistics, ...(bias ? [bias] : [])];
    const masked = mask ? [...read, mask] : read;
    const [dq] = needed[0]
      ? recordKernel(
          {
            name: 'attentionBackwardQueries',
            products: 3,
            lower: (target) => lowerAttentionBackward(spec, 'query', target),
          },
          spec,
          masked,
          [q.shape],
        )
      : [];
    const [dk, dv] =
      needed[1] || needed[2]
        ? recordKernel(
            {
              name: 'attentionBackwardKeys',
              products: 4,
              lower: (target) => lowerAttentionBackward(spec, 'key', target),
            },
            spec,
            read,
            [k.shape, v.shape],
          )
        : [];
    // Keys take no mask: with it they would need nine bindings.
    const ofKeys = (x: Tensor | undefined) =>
      x && mask ? where(reshape(mask, [batch, keys, 1, 1]), x, 0) : x;
    const [dbias] = needsBias
      ? recordKernel(
          {
            name: 'attentionBackwardBias',
            products: 2,
            lower: ({ caps }) => lowerAttentionBiasBackward(spec, caps),
          },
          spec,
          masked,
          [bias.shape],
        )
      : [];
    return [dq, needed[1] ? ofKeys(dk) : undefined, needed[2] ? ofKeys(dv) : undefined, dbias];
  };

/** Whether a tensor of shape `from` broadcasts to exactly `to`. */
function broadcasts(from: readonly number[], to: readonly number[]): boolean {
  try {
    return broadcastShapes(from, to).join() === to.join();
  } catch {
    return false;
  }
}
