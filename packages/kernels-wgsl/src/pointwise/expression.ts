/**
 * Scalar expressions over the elements of an output. One small tree serves the pointwise kernels and the
 * epilogues of the heavy ones, which is what lets the plan fuse any elementwise chain into its producer.
 */
import { UnsupportedError } from '../errors.ts';

/** A tree of functions over the elements of an output. */
export type Expression =
  /** Element of operand `index` at this output position. */
  | { readonly kind: 'operand'; readonly index: number }
  /** What the host kernel has just computed for this position (epilogues only). */
  | { readonly kind: 'accumulator' }
  | { readonly kind: 'constant'; readonly value: number }
  /** The output coordinate along `dim`, as a number. */
  | { readonly kind: 'coordinate'; readonly dim: number }
  | { readonly kind: 'apply'; readonly fn: PointwiseFn; readonly args: readonly Expression[] };

interface FnDefinition {
  readonly arity: number;
  /** WGSL for arguments already lowered to names or calls; valid for scalars and vec4 alike. */
  readonly wgsl: (args: readonly string[], type: string) => string;
  /** The same function in float64. */
  readonly reference: (...args: number[]) => number;
  /** WGSL helper functions it calls, by name. */
  readonly helpers?: readonly HelperName[];
}

const SQRT_2_OVER_PI = 0.7978845608028654;

/** erf to 1e-15, by its Taylor series near zero and a continued fraction of erfc beyond. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; n < 200 && Math.abs(term) > 1e-18 * sum; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 120; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

const binary = (operator: string, reference: (a: number, b: number) => number): FnDefinition => ({
  arity: 2,
  wgsl: ([a, b]) => `(${a} ${operator} ${b})`,
  reference,
});

const builtin = (name: string, arity: number, reference: (...args: number[]) => number): FnDefinition => ({
  arity,
  wgsl: (args) => `${name}(${args.join(', ')})`,
  reference,
});

/** Every elementwise function of the engine: its WGSL and its float64 meaning. */
export const POINTWISE = {
  add: binary('+', (a, b) => a + b),
  sub: binary('-', (a, b) => a - b),
  mul: binary('*', (a, b) => a * b),
  div: binary('/', (a, b) => a / b),
  min: builtin('min', 2, Math.min),
  max: builtin('max', 2, Math.max),
  neg: { arity: 1, wgsl: ([a]) => `(-${a})`, reference: (a) => -a },
  abs: builtin('abs', 1, Math.abs),
  exp: builtin('exp', 1, Math.exp),
  log: builtin('log', 1, Math.log),
  sqrt: builtin('sqrt', 1, Math.sqrt),
  rsqrt: { arity: 1, wgsl: ([a]) => `inverseSqrt(${a})`, reference: (a) => 1 / Math.sqrt(a) },
  floor: builtin('floor', 1, Math.floor),
  sigmoid: { arity: 1, wgsl: ([a], t) => `(${t}(1) / (${t}(1) + exp(-${a})))`, reference: sigmoid },
  silu: { arity: 1, wgsl: ([a], t) => `(${a} / (${t}(1) + exp(-${a})))`, reference: (a) => a * sigmoid(a) },
  tanh: { arity: 1, wgsl: ([a], t) => `tanh_${suffix(t)}(${a})`, reference: Math.tanh, helpers: ['tanh'] },
  /** GELU with the tanh approximation (`gelu-approximate`, `gelu_new`). */
  geluTanh: {
    arity: 1,
    wgsl: ([a], t) => `geluTanh_${suffix(t)}(${a})`,
    reference: (a) => 0.5 * a * (1 + Math.tanh(SQRT_2_OVER_PI * (a + 0.044715 * a ** 3))),
    helpers: ['geluTanh'],
  },
  /** GELU with the error function. */
  gelu: {
    arity: 1,
    wgsl: ([a], t) => `gelu_${suffix(t)}(${a})`,
    reference: (a) => 0.5 * a * (1 + erf(a * Math.SQRT1_2)),
    helpers: ['normalCdf', 'gelu'],
  },
  /** Distribution function of the standard normal, which is the derivative of GELU but for one term. */
  normalCdf: {
    arity: 1,
    wgsl: ([a], t) => `normalCdf_${suffix(t)}(${a})`,
    reference: (a) => 0.5 * (1 + erf(a * Math.SQRT1_2)),
    helpers: ['normalCdf'],
  },
  /** 1 where a < b, else 0. */
  less: {
    arity: 2,
    wgsl: ([a, b], t) => `select(${t}(0), ${t}(1), ${a} < ${b})`,
    reference: (a, b) => (a < b ? 1 : 0),
  },
  /** b where a is not zero, else c. */
  where: {
    arity: 3,
    wgsl: ([a, b, c], t) => `select(${c}, ${b}, ${a} != ${t}(0))`,
    reference: (a, b, c) => (a !== 0 ? b : c),
  },
} satisfies Record<string, FnDefinition>;

/** Functions of a pointwise expression, by name. */
export type PointwiseFn = keyof typeof POINTWISE;

const suffix = (type: string) => (type.startsWith('vec4') ? 'v' : 's');

type HelperName = 'tanh' | 'geluTanh' | 'normalCdf' | 'gelu';

/**
 * tanh through exp of a non-positive number, so that it cannot overflow, with the odd series near zero where
 * 1 - e^(-2x) would cancel. erf by Abramowitz & Stegun 7.1.28's kind of rational fit would cost 3e-7; the
 * exponential form 7.1.26 costs 1.5e-7 absolute, below f32 rounding of GELU's own sum.
 */
const HELPERS: Record<HelperName, (t: string) => string> = {
  tanh: (t) => `fn tanh_${suffix(t)}(x: ${t}) -> ${t} {
  let a = abs(x);
  let e = exp(${t}(-2) * a);
  let x2 = x * x;
  let near = a * (${t}(1) - x2 * (${t}(0.33333333) - x2 * (${t}(0.13333333) - x2 * ${t}(0.053968254))));
  return sign(x) * select((${t}(1) - e) / (${t}(1) + e), near, a < ${t}(0.1));
}
`,
  // x/2 (1 + tanh u) = x sigmoid(2u): one exponential, and nothing cancels.
  geluTanh: (t) => `fn geluTanh_${suffix(t)}(x: ${t}) -> ${t} {
  return x / (${t}(1) + exp(${t}(${-2 * SQRT_2_OVER_PI}) * (x + ${t}(0.044715) * x * x * x)));
}
`,
  normalCdf: (t) => `fn normalCdf_${suffix(t)}(x: ${t}) -> ${t} {
  let a = abs(x) * ${t}(${Math.SQRT1_2});
  let k = ${t}(1) / (${t}(1) + ${t}(0.3275911) * a);
  let series = k * (${t}(0.254829592) + k * (${t}(-0.284496736) + k * (${t}(1.421413741) + k * (${t}(-1.453152027) + k * ${t}(1.061405429)))));
  let tail = series * exp(-a * a);
  return ${t}(0.5) * select(${t}(2) - tail, tail, x < ${t}(0));
}
`,
  gelu: (t) => `fn gelu_${suffix(t)}(x: ${t}) -> ${t} {
  return x * normalCdf_${suffix(t)}(x);
}
`,
};

/** The element of a tensor, by its place among the operands. */
export const operand = (index: number): Expression => ({ kind: 'operand', index });
/** The value that the kernel computed, in an epilogue. */
export const accumulator: Expression = { kind: 'accumulator' };
/** A number. */
export const constant = (value: number): Expression => ({ kind: 'constant', value });
/** The place of the output element in a dimension, as a number. */
export const coordinate = (dim: number): Expression => ({ kind: 'coordinate', dim });
/** A function of expressions. */
export const apply = (fn: PointwiseFn, ...args: Expression[]): Expression => ({ kind: 'apply', fn, args });

/** Calls `visit` on every node, arguments first. */
export function walk(expression: Expression, visit: (node: Expression) => void): void {
  if (expression.kind === 'apply') for (const arg of expression.args) walk(arg, visit);
  visit(expression);
}

/** Replaces leaves; `replace` returns undefined to keep a leaf. */
export function substitute(
  expression: Expression,
  replace: (leaf: Expression) => Expression | undefined,
): Expression {
  if (expression.kind !== 'apply') return replace(expression) ?? expression;
  return { ...expression, args: expression.args.map((arg) => substitute(arg, replace)) };
}

/** The helper functions that `expression` calls, for values of WGSL type `type`. */
export function helperFunctions(expression: Expression, type: string): string {
  const needed = new Set<HelperName>();
  walk(expression, (node) => {
    if (node.kind === 'apply') {
      const definition: FnDefinition = POINTWISE[node.fn];
      for (const name of definition.helpers ?? []) needed.add(name);
    }
  });
  return [...needed].map((name) => HELPERS[name](type)).join('');
}

function literal(value: number, type: string): string {
  if (type.includes('f32')) {
    const single = Math.fround(value);
    if (!Number.isFinite(single)) throw new UnsupportedError(`the constant ${value} does not fit in f32`);
    return `${type}(${Number.isInteger(single) && Math.abs(single) < 1e15 ? `${single}.0` : single})`;
  }
  return `${type}(${Math.trunc(value)})`;
}

/** WGSL of the expression; `leaf` names operands, accumulator and coordinates. */
export function toWgsl(expression: Expression, type: string, leaf: (node: Expression) => string): string {
  if (expression.kind === 'constant') return literal(expression.value, type);
  if (expression.kind !== 'apply') return leaf(expression);
  const definition: FnDefinition = POINTWISE[expression.fn];
  return definition.wgsl(
    expression.args.map((arg) => toWgsl(arg, type, leaf)),
    type,
  );
}

/** The expression's value in float64. */
export function evaluate(expression: Expression, leaf: (node: Expression) => number): number {
  if (expression.kind === 'constant') return expression.value;
  if (expression.kind !== 'apply') return leaf(expression);
  const reference: (...args: number[]) => number = POINTWISE[expression.fn].reference;
  return reference(...expression.args.map((arg) => evaluate(arg, leaf)));
}
