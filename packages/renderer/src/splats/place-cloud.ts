/**
 * A cloud turned and scaled. Positions, sizes and axes are easy; the harmonics of a band mix among themselves by a matrix that depends on the
 * turn alone. It is found by asking for the same colours in enough directions, B c in the old axes and A c' in the new ones, and
 * solving A c' = B c, which has an exact solution since a turned harmonic is a sum of those of its band.
 */
import { compose, inverse, type Quaternion, rotate, type Vec3 } from '../camera/rotation.ts';
import { type SplatCloud, shCoefficients } from './cloud.ts';

/** The basis that `harmonics.ts` has as WGSL, band by band. */
function basis([x, y, z]: Vec3): number[][] {
  const [xx, yy, zz] = [x * x, y * y, z * z];
  return [
    [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x],
    [
      1.0925484305920792 * x * y,
      -1.0925484305920792 * y * z,
      0.31539156525252005 * (2 * zz - xx - yy),
      -1.0925484305920792 * x * z,
      0.5462742152960396 * (xx - yy),
    ],
    [
      -0.5900435899266435 * y * (3 * xx - yy),
      2.890611442640554 * x * y * z,
      -0.4570457994644658 * y * (4 * zz - xx - yy),
      0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
      -0.4570457994644658 * x * (4 * zz - xx - yy),
      1.445305721320277 * z * (xx - yy),
      -0.5900435899266435 * x * (xx - 3 * yy),
    ],
  ];
}

const DIRECTIONS = 40;

/** Spread evenly over the sphere by the golden angle. */
const directions: readonly Vec3[] = Array.from({ length: DIRECTIONS }, (_, i) => {
  const z = 1 - (2 * i + 1) / DIRECTIONS;
  const angle = i * Math.PI * (3 - Math.sqrt(5));
  const r = Math.sqrt(1 - z * z);
  return [r * Math.cos(angle), r * Math.sin(angle), z];
});

/** The matrices [2 l + 1, 2 l + 1], row by row, that take coefficients of band l = 1, 2, 3 along with `rotation`. */
export function bandMatrices(rotation: Quaternion): number[][][] {
  const back = inverse(rotation);
  const [turned, plain] = [directions.map((d) => basis(rotate(back, d))), directions.map(basis)];
  return [0, 1, 2].map((band) => {
    const n = 2 * band + 3;
    const product = (a: number[][][], b: number[][][]) =>
      Array.from({ length: n }, (_, i) =>
        Array.from({ length: n }, (_, j) => a.reduce((sum, row, k) => sum + row[band][i] * b[k][band][j], 0)),
      );
    return solve(product(plain, plain), product(plain, turned));
  });
}

/** X of A X = B by elimination; A is nearly diagonal, so no pivot is looked for. */
function solve(a: number[][], b: number[][]): number[][] {
  const n = a.length;
  const rows = a.map((row, i) => [...row, ...b[i]]);
  for (let k = 0; k < n; k++) {
    const pivot = rows[k][k];
    rows[k] = rows[k].map((value) => value / pivot);
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = rows[i][k];
      rows[i] = rows[i].map((value, j) => value - factor * rows[k][j]);
    }
  }
  return rows.map((row) => row.slice(n));
}

/** Turns by `rotation` and scales about the origin. The cloud's own arrays are changed: they may be most of the memory. */
export function placeCloud(cloud: SplatCloud, rotation: Quaternion, factor: number): void {
  const { count, positions, scales, rotations, degree, sh } = cloud;
  const bands = bandMatrices(rotation).slice(0, degree);
  const perSplat = 3 * shCoefficients(degree);
  const mixed = new Float64Array(7);
  for (let i = 0; i < count; i++) {
    const at = 3 * i;
    const place = rotate(rotation, [positions[at], positions[at + 1], positions[at + 2]]);
    for (let axis = 0; axis < 3; axis++) {
      positions[at + axis] = factor * place[axis];
      scales[at + axis] *= factor;
    }
    const own: Quaternion = [
      rotations[4 * i + 1],
      rotations[4 * i + 2],
      rotations[4 * i + 3],
      rotations[4 * i],
    ];
    const [x, y, z, w] = compose(rotation, own);
    rotations.set([w, x, y, z], 4 * i);
    let first = perSplat * i + 3;
    for (const matrix of bands) {
      for (let channel = 0; channel < 3; channel++) {
        for (let j = 0; j < matrix.length; j++) {
          let sum = 0;
          for (let k = 0; k < matrix.length; k++) sum += matrix[j][k] * sh[first + 3 * k + channel];
          mixed[j] = sum;
        }
        for (let j = 0; j < matrix.length; j++) sh[first + 3 * j + channel] = mixed[j];
      }
      first += 3 * matrix.length;
    }
  }
}
