/** Matrix products. Adds, activations, gates and residuals that follow are fused into the kernel by the plan. */
import { bytesOf, elementCount, lowerMatmul } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { record, type Tensor } from '../tensor.ts';
import { add } from './pointwise.ts';
import { sum } from './reduce.ts';
import { broadcastTo, reshape } from './views.ts';

/** Options of `matmul`. */
export interface MatmulOptions {
  /** `a` is stored [..., K, M]. */
  readonly transposeA?: boolean;
  /** `b` is stored [..., N, K]. */
  readonly transposeB?: boolean;
}

/**
 * a [..., M, K] times b [..., K, N] (or b [K, N], shared by the whole batch): [..., M, N] in f32.
 * @throws when inner or batch dimensions differ.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  const sharedB = b.shape.length === 2;
  if (sharedB && a.shape.length > 2 && !transposeA) {
    const flat = reshape(a, [-1, a.shape[a.shape.length - 1]]);
    const out = matmul(flat, b, options);
    return reshape(out, [...a.shape.slice(0, -1), out.shape[1]]);
  }
  const lead = a.shape.slice(0, -2);
  const last = (shape: readonly number[], swapped: boolean) => {
    const [x, y] = shape.slice(-2);
    return swapped ? [y, x] : [x, y];
  };
  const [m, k] = last(a.shape, transposeA);
  const [kb, n] = last(b.shape, transposeB);
  if (k !== kb || (!sharedB && b.shape.slice(0, -2).join() !== lead.join())) {
    throw new InvalidArgumentError(
      'matmul',
      `[${a.shape}]${transposeA ? ' transposed' : ''} x [${b.shape}]${transposeB ? ' transposed' : ''} do not match`,
    );
  }
  const batch = elementCount(lead);
  const shape = [...lead, m, n];
  const out = record(
    {
      kind: 'kernel',
      name: 'matmul',
      cost: {
        flops: 2 * batch * m * n * k,
        bytes:
          elementCount(a.shape) * bytesOf(a.dtype) +
          elementCount(b.shape) * bytesOf(b.dtype) +
          batch * m * n * 4,
      },
      epilogue: true,
      bindings: 5,
      lower: (target, epilogue) =>
        lowerMatmul(
          {
            ...{ batch, m, n, k, transposeA, transposeB, sharedB },
            ...{ dtypeA: a.dtype, dtypeB: b.dtype, dtypeOut: epilogue?.dtype ?? 'f32' },
            halfPrecision: target.precision === 'f16',
            ...{ epilogue: epilogue?.fusion, halfRows: epilogue?.halfRows },
          },
          target,
        ),
      vjp: ({ gradients: [g], needed }) => [
        needed[0] ? gradientOfA(a, b, g!, transposeA, transposeB) : undefined,
        needed[1] ? gradientOfB(a, b, g!, transposeA, transposeB) : undefined,
      ],
    },
    [a, b],
    [{ shape, dtype: 'f32' }],
  );
  return out[0];
}

/** G·op(B)ᵀ, or its transpose where A is stored transposed. */
function gradientOfA(a: Tensor, b: Tensor, g: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  if (!transposeA) return matmul(g, b, { transposeB: !transposeB });
  const perBatch =
    b.shape.length < a.shape.length ? broadcastTo(b, [...a.shape.slice(0, -2), ...b.shape]) : b;
  return matmul(perBatch, g, { transposeA: transposeB, transposeB: true });
}

/** op(A)ᵀ·G, or its transpose where B is stored transposed; summed over the batch where B is shared. */
function gradientOfB(a: Tensor, b: Tensor, g: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  const gradient = transposeB
    ? matmul(g, a, { transposeA: true, transposeB: transposeA })
    : matmul(a, g, { transposeA: !transposeA });
  const lead = gradient.shape.length - b.shape.length;
  return lead > 0 ? sum(gradient, [...Array(lead).keys()]) : gradient;
}

/** Types that a quantized weight is stored as. */
const STORED = ['i8', 'i4', 'e4m3', 'e5m2', 'f16', 'bf16', 'f32'];

/**
 * x [..., K] times the transpose of a quantized weight [N, K]: [..., N] in f32, the weight expanded as it is loaded.
 *
 *     weight[n, k] = scales[n, k / groupSize] * stored[n, k] (+ offsets[n, k / groupSize])
 *
 * It has no gradient.
 * @param scales f32 or f16 [N, K / groupSize], where the size of a group is a multiple of 8.
 * @param offsets as the scales; none where left out.
 * @throws when shapes do not match.
 */
export function quantizedMatmul(x: Tensor, stored: Tensor, scales: Tensor, offsets?: Tensor): Tensor {
  const k = x.shape[x.shape.length - 1];
  const [n] = stored.shape;
  const m = elementCount(x.shape) / k;
  const refuse = (problem: string) => new InvalidArgumentError('quantizedMatmul', problem);
  if (!STORED.includes(stored.dtype) || `${stored.shape}` !== `${[n, k]}`) {
    throw refuse(
      `the weight is ${stored.dtype} [${stored.shape}], expected [N, ${k}] of ${STORED.join(', ')}`,
    );
  }
  const groupSize = k / scales.shape[1];
  if (scales.shape.length !== 2 || scales.shape[0] !== n || groupSize % 8 !== 0) {
    throw refuse(
      `scales are [${scales.shape}], expected [${n}, ${k} / size of a group], of which 8 is a divisor`,
    );
  }
  if (scales.dtype !== 'f32' && scales.dtype !== 'f16') {
    throw refuse(`scales are ${scales.dtype}, expected f32 or f16`);
  }
  if (offsets && (`${offsets.shape}` !== `${scales.shape}` || offsets.dtype !== scales.dtype)) {
    throw refuse(
      `offsets are ${offsets.dtype} [${offsets.shape}], expected ${scales.dtype} [${scales.shape}] as the scales`,
    );
  }
  const inputs = [x, stored, scales, ...(offsets ? [offsets] : [])];
  const read = inputs.reduce((sum, { shape, dtype }) => sum + elementCount(shape) * bytesOf(dtype), 0);
  const out = record(
    {
      kind: 'kernel',
      name: 'quantizedMatmul',
      cost: { flops: 2 * m * n * k, bytes: read + m * n * 4 },
      epilogue: true,
      // Of the kernels in f16: staged rows of both and their scales, and the output.
      bindings: 5,
      lower: (target, epilogue) =>
        lowerMatmul(
          {
            ...{ batch: 1, m, n, k, transposeA: false, transposeB: true, sharedB: true },
            ...{ dtypeA: x.dtype, dtypeB: stored.dtype, dtypeOut: epilogue?.dtype ?? 'f32' },
            scaledB: { groupSize, dtype: scales.dtype, offsets: offsets !== undefined },
            halfPrecision: target.precision === 'f16',
            ...{ epilogue: epilogue?.fusion, halfRows: epilogue?.halfRows },
          },
          target,
        ),
    },
    inputs,
    [{ shape: [...x.shape.slice(0, -1), n], dtype: 'f32' }],
  );
  return out[0];
}

/** x [..., K] through a PyTorch linear layer: weight [N, K], bias [N]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const out = matmul(x, weight, { transposeB: true });
  return bias ? add(out, bias) : out;
}
