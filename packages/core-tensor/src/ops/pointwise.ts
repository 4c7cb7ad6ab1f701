/** Elementwise functions with NumPy broadcasting. The plan fuses chains of them into their neighbours. */
import { type DType, isPacked } from '@dwm/kernels-wgsl';
import {
  apply,
  constant as constantLeaf,
  coordinate,
  type Expression,
  operand,
  type PointwiseFn,
} from '@dwm/kernels-wgsl/pointwise';
import { InvalidArgumentError } from '../errors.ts';
import { record, type Tensor } from '../tensor.ts';

/** What an elementwise function takes: a tensor, or one number for all elements. */
export type Operand = Tensor | number;

/** Shape that `shapes` broadcast to. */
export function broadcastShapes(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, d) => {
    let size = 1;
    for (const shape of shapes) {
      const own = shape[d - rank + shape.length] ?? 1;
      if (own === 1 || own === size) continue;
      if (size !== 1)
        throw new InvalidArgumentError(
          'broadcast',
          `shapes ${shapes.map((s) => `[${s}]`).join(' and ')} do not broadcast`,
        );
      size = own;
    }
    return size;
  });
}

const isTensor = (value: Operand): value is Tensor => typeof value !== 'number';

function pointwise(fn: PointwiseFn, ...args: Operand[]): Tensor {
  const tensors = args.filter(isTensor);
  const leaves: Expression[] = args.map((arg) =>
    isTensor(arg) ? operand(tensors.indexOf(arg)) : constantLeaf(arg),
  );
  const integer = tensors.every(({ dtype }) => dtype === tensors[0].dtype && /^[iu]32/.test(dtype));
  const op = { kind: 'pointwise' as const, name: fn, expression: apply(fn, ...leaves) };
  const shape = broadcastShapes(...tensors.map((tensor) => tensor.shape));
  return record(op, tensors, [{ shape, dtype: integer ? tensors[0].dtype : 'f32' }])[0];
}

/** a + b. */
export const add = (a: Operand, b: Operand): Tensor => pointwise('add', a, b);
/** a - b. */
export const sub = (a: Operand, b: Operand): Tensor => pointwise('sub', a, b);
/** a · b. */
export const mul = (a: Operand, b: Operand): Tensor => pointwise('mul', a, b);
/** a / b. */
export const div = (a: Operand, b: Operand): Tensor => pointwise('div', a, b);
/** The smaller of a and b. */
export const minimum = (a: Operand, b: Operand): Tensor => pointwise('min', a, b);
/** The larger of a and b. */
export const maximum = (a: Operand, b: Operand): Tensor => pointwise('max', a, b);
/** -a. */
export const neg = (a: Tensor): Tensor => pointwise('neg', a);
/** |a|. */
export const abs = (a: Tensor): Tensor => pointwise('abs', a);
/** e to the a. */
export const exp = (a: Tensor): Tensor => pointwise('exp', a);
/** Natural logarithm of a. */
export const log = (a: Tensor): Tensor => pointwise('log', a);
/** Square root of a. */
export const sqrt = (a: Tensor): Tensor => pointwise('sqrt', a);
/** 1 / sqrt(a). */
export const rsqrt = (a: Tensor): Tensor => pointwise('rsqrt', a);
/** The largest whole number that is not above a. */
export const floor = (a: Tensor): Tensor => pointwise('floor', a);
/** 1 / (1 + exp(-a)). */
export const sigmoid = (a: Tensor): Tensor => pointwise('sigmoid', a);
/** Hyperbolic tangent of a. */
export const tanh = (a: Tensor): Tensor => pointwise('tanh', a);
/** x · sigmoid(x). */
export const silu = (a: Tensor): Tensor => pointwise('silu', a);
/** GELU by the error function. */
export const gelu = (a: Tensor): Tensor => pointwise('gelu', a);
/** GELU by the tanh approximation. */
export const geluTanh = (a: Tensor): Tensor => pointwise('geluTanh', a);
/** 1 where a < b, else 0. */
export const less = (a: Operand, b: Operand): Tensor => pointwise('less', a, b);
/** `yes` where `condition` is not zero, else `no`. */
export const where = (condition: Operand, yes: Operand, no: Operand): Tensor =>
  pointwise('where', condition, yes, no);

/** `before` at coordinates below `boundary` along dimension `dim` of `shape`, `after` from there on. */
export function splitAt(
  shape: readonly number[],
  dim: number,
  boundary: number,
  before: Tensor,
  after: Tensor,
): Tensor {
  const condition = apply('less', coordinate(dim), constantLeaf(boundary));
  const expression = apply('where', condition, operand(0), operand(1));
  return record(
    { kind: 'pointwise', name: 'splitAt', expression },
    [before, after],
    [{ shape, dtype: 'f32' }],
  )[0];
}

/**
 * The same values as another dtype; f16 saturates, bf16 rounds to nearest even, integers truncate.
 * @throws InvalidArgumentError for a dtype that is only stored: i8, i4, e4m3, e5m2.
 */
export function cast(a: Tensor, dtype: DType): Tensor {
  if (a.dtype === dtype) return a;
  if (isPacked(dtype))
    throw new InvalidArgumentError('cast', `no kernel writes ${dtype}; it is for weights only`);
  return record(
    { kind: 'pointwise', name: 'cast', expression: operand(0) },
    [a],
    [{ shape: a.shape, dtype }],
  )[0];
}
