import { describe, expect, test } from 'vitest';
import { differentiate, smoothOperands } from './derivatives.ts';
import {
  apply,
  coordinate,
  type Expression,
  evaluate,
  operand,
  POINTWISE,
  type PointwiseFn,
} from './expression.ts';

const valueAt = (expression: Expression, operands: readonly number[]) =>
  evaluate(expression, (leaf) => (leaf.kind === 'operand' ? operands[leaf.index] : 2));

/** Sixth-order central difference of operand k in float64; exact to about 1e-11. */
function slope(expression: Expression, operands: readonly number[], k: number): number {
  const h = 1e-3;
  const at = (steps: number) =>
    valueAt(
      expression,
      operands.map((x, i) => (i === k ? x + steps * h : x)),
    );
  return (45 * (at(1) - at(-1)) - 9 * (at(2) - at(-2)) + (at(3) - at(-3))) / (60 * h);
}

function expectSlopes(expression: Expression, operands: readonly number[]): void {
  const gradient = operand(operands.length);
  const slopes = differentiate(expression, gradient);
  for (const k of operands.keys()) {
    const got = slopes[k] ? valueAt(slopes[k], [...operands, 1.5]) : 0;
    const want = 1.5 * slope(expression, operands, k);
    expect(Math.abs(got - want), `operand ${k} at ${operands}`).toBeLessThan(1e-9 * (1 + Math.abs(want)));
  }
}

// Away from kinks and poles, on both sides of them where there are two.
const POINTS = [-7.3, -2.6, -1.1, -0.4, 0.3, 0.9, 1.7, 3.2, 8.6];
const POSITIVE: readonly PointwiseFn[] = ['log', 'sqrt', 'rsqrt'];

describe.each(Object.keys(POINTWISE) as PointwiseFn[])('%s', (fn) => {
  test('equals differences in float64', () => {
    const points = POSITIVE.includes(fn) ? POINTS.filter((x) => x > 0) : POINTS;
    const { arity } = POINTWISE[fn];
    const expression = apply(fn, ...Array.from({ length: arity }, (_, k) => operand(k)));
    for (const [i, x] of points.entries()) {
      const others = [points[(i + 4) % points.length], points[(i + 2) % points.length]];
      expectSlopes(expression, [x, ...others].slice(0, arity));
    }
  });
});

test('nested expressions, repeated operands and coordinates', () => {
  const [x, y] = [operand(0), operand(1)];
  const mixed = apply(
    'div',
    apply('gelu', apply('mul', x, y)),
    apply('add', apply('mul', x, x), coordinate(0)),
  );
  for (const point of POINTS) expectSlopes(mixed, [point, 0.7]);
});

test('what has no slope has no gradient', () => {
  const chosen = apply('where', apply('less', operand(0), operand(1)), operand(2), operand(1));
  expect([...smoothOperands(chosen)]).toEqual([1, 2]);
  expect(smoothOperands(apply('floor', operand(0))).size).toBe(0);
});
