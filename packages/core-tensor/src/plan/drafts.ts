/** Elementwise work as one expression over tensors that are read in place: how such work is made, reshaped and merged. */
import { elementCount } from '@dwm/kernels-wgsl';
import {
  type Access,
  type Expression,
  type FusedOperand,
  type Fusion,
  operand as operandLeaf,
  substitute,
} from '@dwm/kernels-wgsl/pointwise';
import type { Tensor } from '../tensor.ts';
import { broadcast, reshapeAccess, resolve } from './views.ts';

/** An elementwise expression under construction: operand k reads `tensors[k]`. */
export interface Draft {
  readonly shape: readonly number[];
  readonly expression: Expression;
  readonly tensors: readonly Tensor[];
  readonly accesses: readonly Access[];
}

/** A tensor as it is. */
export const copyDraft = (shape: readonly number[], from: { base: Tensor; access: Access }): Draft => ({
  shape,
  expression: operandLeaf(0),
  tensors: [from.base],
  accesses: [from.access],
});

/** `expression` of `inputs`, read where they are; equal operands count once. */
export function draftOf(expression: Expression, inputs: readonly Tensor[], shape: readonly number[]): Draft {
  const operands = new Operands();
  const leaves = inputs.map((tensor) => {
    const under = resolve(tensor);
    return operands.place(under.base, broadcast(under.access, tensor.shape, shape));
  });
  return {
    shape,
    expression: substitute(expression, (leaf) => (leaf.kind === 'operand' ? leaves[leaf.index] : undefined)),
    tensors: operands.tensors,
    accesses: operands.accesses,
  };
}

/** `draft` read at the flat index of `shape`; undefined when an operand's strides cannot be re-expressed. */
export function reshapeDraft(draft: Draft, shape: readonly number[]): Draft | undefined {
  if (draft.shape.length === shape.length && draft.shape.every((size, d) => size === shape[d])) return draft;
  const accesses: Access[] = [];
  for (const access of draft.accesses) {
    const reshaped = reshapeAccess(access, draft.shape, shape);
    if (!reshaped) return undefined;
    accesses.push(reshaped);
  }
  let usesCoordinates = false;
  substitute(draft.expression, (leaf) => {
    if (leaf.kind === 'coordinate') usesCoordinates = true;
    return undefined;
  });
  return usesCoordinates ? undefined : { ...draft, shape, accesses };
}

const sameAccess = (a: Access, b: Access) =>
  a.offset === b.offset &&
  a.dims.every(
    (dim, d) =>
      dim.stride === b.dims[d].stride && dim.shift === b.dims[d].shift && dim.divisor === b.dims[d].divisor,
  );

/** Operands as they are found. */
class Operands {
  readonly tensors: Tensor[] = [];
  readonly accesses: Access[] = [];

  /** The leaf of `tensor` read so. */
  place(tensor: Tensor, access: Access): Expression {
    const { tensors, accesses } = this;
    let at = tensors.findIndex((other, i) => other === tensor && sameAccess(accesses[i], access));
    if (at < 0) at = tensors.push(tensor) - 1;
    accesses[at] = access;
    return operandLeaf(at);
  }
}

/** Replaces operand `k` of `outer` by the expression `inner` (over the same shape), sharing equal operands. */
export function inline(outer: Draft, k: number, inner: Draft): Draft {
  const operands = new Operands();
  const within = (draft: Draft, leaves: readonly Expression[]) =>
    substitute(draft.expression, (leaf) => (leaf.kind === 'operand' ? leaves[leaf.index] : undefined));
  const leavesOf = (draft: Draft) =>
    draft.tensors.map((tensor, i) => operands.place(tensor, draft.accesses[i]));
  const replacement = within(inner, leavesOf(inner));
  const leaves = outer.tensors.map((tensor, i) =>
    i === k ? replacement : operands.place(tensor, outer.accesses[i]),
  );
  return {
    shape: outer.shape,
    tensors: operands.tensors,
    accesses: operands.accesses,
    expression: within(outer, leaves),
  };
}

export function fusionOf(draft: Draft): Fusion {
  const operands = draft.tensors.map((tensor, k): FusedOperand => {
    return { dtype: tensor.dtype, access: draft.accesses[k], count: elementCount(tensor.shape) };
  });
  return { shape: draft.shape, expression: draft.expression, operands };
}
