/** How large an expression can become, by how large its leaves can: |f(x)| <= magnitude(f)(|x|). */
import { apply, constant, type Expression, type PointwiseFn } from './expression.ts';

type Bound = (...args: Expression[]) => Expression;

const ONE: Bound = () => constant(1);
const SAME: Bound = (a) => a;
const LARGER: Bound = (a, b) => apply('max', a, b);

/** Bounds of functions from those of their arguments; no function that is not here has one that is of use. */
const BOUNDS: Partial<Record<PointwiseFn, Bound>> = {
  add: (a, b) => apply('add', a, b),
  sub: (a, b) => apply('add', a, b),
  mul: (a, b) => apply('mul', a, b),
  min: LARGER,
  max: LARGER,
  neg: SAME,
  abs: SAME,
  sigmoid: ONE,
  tanh: ONE,
  normalCdf: ONE,
  less: ONE,
  silu: SAME,
  gelu: SAME,
  geluTanh: SAME,
  where: (_, b, c) => LARGER(b, c),
};

/**
 * The bound of `expression`, whose operands and accumulator stand for the largest magnitudes of what they stand for in
 * `expression`. Undefined where there is none.
 */
export function magnitude(expression: Expression): Expression | undefined {
  if (expression.kind === 'coordinate') return undefined;
  if (expression.kind === 'constant') return constant(Math.abs(expression.value));
  if (expression.kind !== 'apply') return expression;
  // What a condition reads decides, and adds nothing.
  const args = expression.args.map((arg, i) =>
    (expression.fn === 'where' && i === 0) || expression.fn === 'less' ? constant(0) : magnitude(arg),
  );
  if (args.includes(undefined)) return undefined;
  return BOUNDS[expression.fn]?.(...(args as Expression[]));
}
