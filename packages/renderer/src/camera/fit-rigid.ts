/**
 * The rotation and translation that take one set of points nearest to another, in the least-squares sense: Horn,
 * "Closed-form solution of absolute orientation using unit quaternions", 1987. The rotation is the eigenvector of a symmetric
 * 4x4 matrix at its largest eigenvalue, found by Jacobi rotations.
 */
import { add, type Quaternion, rotate, scale, subtract, unit, type Vec3 } from './rotation.ts';

/** @returns undefined where the points of either set are all on one line, so that the rotation is free. */
export function fitRigid(
  from: readonly Vec3[],
  to: readonly Vec3[],
): { rotation: Quaternion; translation: Vec3 } | undefined {
  const [fromCentre, toCentre] = [from, to].map(mean);
  // Sums of products of coordinates, S[a][b] = sum from_a to_b.
  const s = [0, 1, 2].map((a) =>
    [0, 1, 2].map((b) =>
      from.reduce((sum, p, i) => sum + (p[a] - fromCentre[a]) * (to[i][b] - toCentre[b]), 0),
    ),
  );
  const [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = s;
  const { values, vectors } = eigen([
    [xx - yy - zz, xy + yx, zx + xz, yz - zy],
    [xy + yx, yy - xx - zz, yz + zy, zx - xz],
    [zx + xz, yz + zy, zz - xx - yy, xy - yx],
    [yz - zy, zx - xz, xy - yx, xx + yy + zz],
  ]);
  const order = [0, 1, 2, 3].sort((i, j) => values[j] - values[i]);
  const [best, second] = order;
  // Two equal largest eigenvalues leave a rotation undecided.
  if (!(values[best] - values[second] > 1e-9 * Math.abs(values[best]))) return undefined;
  const rotation = unit(vectors.map((row) => row[best]) as unknown as Quaternion);
  if (!rotation) return undefined;
  return { rotation, translation: subtract(toCentre, rotate(rotation, fromCentre)) };
}

const mean = (points: readonly Vec3[]): Vec3 =>
  scale(
    points.reduce((sum, point) => add(sum, point), [0, 0, 0] as Vec3),
    1 / points.length,
  );

/** Eigenvalues and, in columns, eigenvectors of a symmetric matrix. */
function eigen(symmetric: readonly (readonly number[])[]): { values: number[]; vectors: number[][] } {
  const n = symmetric.length;
  const a = symmetric.map((row) => [...row]);
  const vectors: number[][] = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)));
  // Sweeps converge quadratically; a 4x4 is exact to rounding after about six.
  for (let sweep = 0; sweep < 12; sweep++)
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        if (a[p][q] === 0) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const c = 1 / Math.hypot(t, 1);
        for (let k = 0; k < n; k++)
          [a[k][p], a[k][q]] = [c * (a[k][p] - t * a[k][q]), c * (t * a[k][p] + a[k][q])];
        for (let k = 0; k < n; k++)
          [a[p][k], a[q][k]] = [c * (a[p][k] - t * a[q][k]), c * (t * a[p][k] + a[q][k])];
        for (const row of vectors) [row[p], row[q]] = [c * (row[p] - t * row[q]), c * (t * row[p] + row[q])];
      }
  return { values: a.map((row, i) => row[i]), vectors };
}
