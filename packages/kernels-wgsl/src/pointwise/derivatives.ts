/**
 * Derivatives of expressions, as expressions. A rule takes the gradient of a function's result and its
 * arguments, and gives the gradients of the arguments; `differentiate` walks a tree from the root down with
 * these rules and adds up what arrives at each operand.
 */
import { apply, constant, type Expression, type PointwiseFn } from './expression.ts';

type E = Expression;

/** Gradients of the arguments; undefined where it is zero everywhere. */
type Rule = (gradient: E, ...args: E[]) => readonly (E | undefined)[];

const add = (a: E, b: E) => apply('add', a, b);
const sub = (a: E, b: E) => apply('sub', a, b);
const mul = (a: E, b: E) => apply('mul', a, b);
const div = (a: E, b: E) => apply('div', a, b);
const neg = (a: E) => apply('neg', a);
const less = (a: E, b: E) => apply('less', a, b);
const where = (a: E, b: E, c: E) => apply('where', a, b, c);
const sigmoid = (a: E) => apply('sigmoid', a);
const zero = constant(0);
const one = constant(1);
const half = constant(0.5);

/** 1 where a < b, 0 where b < a, and half each where they are equal. */
const lower = (a: E, b: E) => mul(half, add(one, sub(less(a, b), less(b, a))));

/** Density of the standard normal distribution. */
const density = (a: E) =>
  mul(constant(1 / Math.sqrt(2 * Math.PI)), apply('exp', mul(constant(-0.5), mul(a, a))));

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

const RULES: Record<PointwiseFn, Rule> = {
  add: (g) => [g, g],
  sub: (g) => [g, neg(g)],
  mul: (g, a, b) => [mul(g, b), mul(g, a)],
  div: (g, a, b) => [div(g, b), neg(div(mul(g, div(a, b)), b))],
  min: (g, a, b) => [mul(g, lower(a, b)), mul(g, lower(b, a))],
  max: (g, a, b) => [mul(g, lower(b, a)), mul(g, lower(a, b))],
  neg: (g) => [neg(g)],
  abs: (g, a) => [mul(g, sub(less(zero, a), less(a, zero)))],
  exp: (g, a) => [mul(g, apply('exp', a))],
  log: (g, a) => [div(g, a)],
  sqrt: (g, a) => [mul(g, mul(half, apply('rsqrt', a)))],
  rsqrt: (g, a) => [mul(g, div(mul(constant(-0.5), apply('rsqrt', a)), a))],
  floor: () => [undefined],
  // 1 - sigmoid(x) as sigmoid(-x), which does not cancel.
  sigmoid: (g, a) => [mul(g, mul(sigmoid(a), sigmoid(neg(a))))],
  silu: (g, a) => [mul(g, mul(sigmoid(a), add(one, mul(a, sigmoid(neg(a))))))],
  tanh: (g, a) => [mul(g, sub(one, mul(apply('tanh', a), apply('tanh', a))))],
  geluTanh: (g, a) => {
    const square = mul(a, a);
    const inner = mul(constant(SQRT_2_OVER_PI), mul(a, add(one, mul(constant(CUBIC), square))));
    const slope = mul(constant(SQRT_2_OVER_PI), add(one, mul(constant(3 * CUBIC), square)));
    // (1 + tanh u) / 2 = sigmoid(2u), and 1 - tanh² u = 4 sigmoid(2u) sigmoid(-2u).
    const up = sigmoid(mul(constant(2), inner));
    const down = sigmoid(mul(constant(-2), inner));
    return [mul(g, mul(up, add(one, mul(mul(constant(2), mul(a, slope)), down))))];
  },
  gelu: (g, a) => [mul(g, add(apply('normalCdf', a), mul(a, density(a))))],
  normalCdf: (g, a) => [mul(g, density(a))],
  less: () => [undefined, undefined],
  where: (g, a) => [undefined, where(a, g, zero), where(a, zero, g)],
};

/**
 * Gradients of the operands of `expression`, by operand index, given the gradient of its value; holes where an
 * operand does not occur or the derivative is zero everywhere. At kinks: `abs` has slope 0 at 0, `min` and
 * `max` share the gradient between equal arguments, `floor`, `less` and the condition of `where` have none.
 */
export function differentiate(expression: Expression, gradient: Expression): (Expression | undefined)[] {
  const gradients: (Expression | undefined)[] = [];
  const descend = (node: Expression, g: Expression): void => {
    if (node.kind === 'accumulator') throw new Error('an epilogue cannot be differentiated');
    if (node.kind === 'operand') {
      const sofar = gradients[node.index];
      gradients[node.index] = sofar ? add(sofar, g) : g;
    }
    if (node.kind !== 'apply') return;
    for (const [i, part] of RULES[node.fn](g, ...node.args).entries()) {
      if (part) descend(node.args[i], part);
    }
  };
  descend(expression, gradient);
  return gradients;
}

/** The operands that `differentiate` gives a gradient. */
export const smoothOperands = (expression: Expression): ReadonlySet<number> =>
  new Set(Object.keys(differentiate(expression, constant(1))).map(Number));
