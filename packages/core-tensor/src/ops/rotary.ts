/** Rotary position embedding. Elementwise work on the result fuses as an epilogue. */
import { bytesOf, elementCount, lowerRotary, type RotarySpec } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { type KernelOp, record, type Tensor } from '../tensor.ts';

/**
 * Turns each pair (x[2i], x[2i + 1]) by its angle, as diffusers does for CogVideoX:
 * out[2i] = x[2i]·cos[2i] - x[2i + 1]·sin[2i], out[2i + 1] = x[2i + 1]·cos[2i + 1] + x[2i]·sin[2i + 1]. A norm before
 * it, which nothing else reads, rotates its own result.
 * @param x [B, S, H, D], D even.
 * @param cos [S - firstRow, D]; row j belongs to row firstRow + j of x.
 * @param sin like `cos`.
 * @param firstRow rows before it (text tokens) are copied unchanged.
 */
export function rotary(x: Tensor, cos: Tensor, sin: Tensor, firstRow: number): Tensor {
  const [batch, rows, heads, headDim] = x.shape;
  if (x.shape.length !== 4 || headDim % 2 !== 0) {
    throw new InvalidArgumentError('rotary', `x must be [B, S, H, D] with an even D, got [${x.shape}]`);
  }
  const table = `[${rows - firstRow},${headDim}]`;
  if (`[${cos.shape}]` !== table || `[${sin.shape}]` !== table || cos.dtype !== sin.dtype) {
    throw new InvalidArgumentError(
      'rotary',
      `cos and sin must be ${table} of one dtype for x [${x.shape}] and firstRow ${firstRow}, got ${cos.dtype} [${cos.shape}] and ${sin.dtype} [${sin.shape}]`,
    );
  }
  const spec: RotarySpec = {
    batch,
    rows,
    heads,
    headDim,
    firstRow,
    dtype: x.dtype,
    tableDtype: cos.dtype,
    transposed: false,
  };
  const rotation = { rows, heads, headDim, firstRow, tableDtype: cos.dtype };
  return recordRotary('rotary', spec, x, cos, sin, {
    rotation,
    vjp: ({ gradients: [g], needed }) => {
      if (needed[1] || needed[2])
        throw new InvalidArgumentError('rotary', 'cos and sin have no gradient; make them constants');
      if (!g || !needed[0]) return [];
      return [recordRotary('rotaryBackward', { ...spec, dtype: g.dtype, transposed: true }, g, cos, sin)];
    },
  });
}

function recordRotary(
  name: string,
  spec: RotarySpec,
  x: Tensor,
  cos: Tensor,
  sin: Tensor,
  more: Pick<KernelOp, 'rotation' | 'vjp'> = {},
): Tensor {
  const count = elementCount(x.shape);
  return record(
    {
      kind: 'kernel',
      name,
      cost: { flops: 3 * count, bytes: count * (bytesOf(x.dtype) + 4) },
      epilogue: true,
      bindings: 4,
      ...more,
      lower: ({ caps }, epilogue) => lowerRotary({ ...spec, epilogue }, caps),
    },
    [x, cos, sin],
    [{ shape: x.shape, dtype: 'f32' }],
  )[0];
}
