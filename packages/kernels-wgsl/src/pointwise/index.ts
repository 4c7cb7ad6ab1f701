/** Element by element functions as expressions: where their operands lie, their derivatives, and what is fused of them. */
export {
  type Access,
  type AccessDim,
  contiguousStrides,
  isDense,
  strided,
} from './access.ts';
export { differentiate, smoothOperands } from './derivatives.ts';
export {
  accumulator,
  apply,
  constant,
  coordinate,
  type Expression,
  evaluate,
  operand,
  type PointwiseFn,
  substitute,
  walk,
} from './expression.ts';
export { type FusedOperand, type Fusion, identity, offsetAlignment } from './fusion.ts';
export * from './pointwise.ts';
