/**
 * Levenberg and Marquardt's method for a few unknowns (Marquardt, 1963), with the slopes by differences: the sum of
 * squares of `residuals` made small, from `start` on.
 */
export function leastSquares(
  residuals: (x: readonly number[]) => readonly number[],
  start: readonly number[],
  steps: number,
): number[] {
  let x = [...start];
  let r = residuals(x);
  let cost = squares(r);
  let damping = 1e-2;
  for (let step = 0; step < steps; step++) {
    const slopes = x.map((_, k) => {
      const moved = residuals(x.map((value, i) => (i === k ? value + DIFFERENCE : value)));
      return moved.map((value, i) => (value - r[i]) / DIFFERENCE);
    });
    const gradient = slopes.map((slope) => product(slope, r));
    const normal = slopes.map((a, i) => slopes.map((b, j) => (j <= i ? product(a, b) : 0)));
    const before = cost;
    // A step that makes it worse is taken back, and a shorter one tried.
    for (let tried = 0; tried < 6; tried++) {
      const change = solved(normal, gradient, damping);
      const candidate = x.map((value, i) => value - change[i]);
      const there = residuals(candidate);
      const reached = squares(there);
      if (reached < cost) {
        [x, r, cost] = [candidate, there, reached];
        damping = Math.max(1e-9, damping / 5);
        break;
      }
      damping *= 4;
    }
    if (!(before - cost > 1e-5 * before)) break;
  }
  return x;
}

const DIFFERENCE = 1e-5;

const product = (a: readonly number[], b: readonly number[]): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

const squares = (r: readonly number[]): number => product(r, r);

/** (A + damping diag A) x = b by Cholesky's method; of the symmetric A the lower half is read. */
function solved(a: readonly (readonly number[])[], b: readonly number[], damping: number): number[] {
  const n = b.length;
  const lower: number[][] = [];
  const x = [...b];
  for (let i = 0; i < n; i++) {
    lower.push([]);
    for (let j = 0; j <= i; j++) {
      let sum = a[i][j] + (i === j ? damping * a[i][i] + 1e-12 : 0);
      for (let k = 0; k < j; k++) sum -= lower[i][k] * lower[j][k];
      lower[i].push(i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / lower[j][j]);
    }
    for (let k = 0; k < i; k++) x[i] -= lower[i][k] * x[k];
    x[i] /= lower[i][i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= lower[k][i] * x[k];
    x[i] /= lower[i][i];
  }
  return x;
}
