/**
 * The few matrix operations a scene graph needs, in float64. Matrices are 4x4 in row-major order and act on
 * column vectors, as `camera_to_world` is written in the trajectory file; glTF's column-major ones are
 * transposed by its reader.
 */
export { invertAffine, multiply } from '../camera/pose.ts';

/** A 4x4 matrix, column after column, in float64. */
export type Matrix = Float64Array;

export const identity = (): Matrix => Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);

export function transpose(m: ArrayLike<number>): Matrix {
  return Float64Array.from({ length: 16 }, (_, i) => m[(i % 4) * 4 + Math.floor(i / 4)]);
}

/** Translation x rotation x scale; the quaternion is x y z w and is normalised. */
export function compose(
  translation: ArrayLike<number>,
  rotation: ArrayLike<number>,
  scale: ArrayLike<number> = [1, 1, 1],
): Matrix {
  const length = Math.hypot(rotation[0], rotation[1], rotation[2], rotation[3]);
  const [x, y, z, w] = length > 0 ? Array.from(rotation, (q) => q / length) : [0, 0, 0, 1];
  const [sx, sy, sz] = [scale[0], scale[1], scale[2]];
  return Float64Array.of(
    (1 - 2 * (y * y + z * z)) * sx,
    2 * (x * y - z * w) * sy,
    2 * (x * z + y * w) * sz,
    translation[0],
    2 * (x * y + z * w) * sx,
    (1 - 2 * (x * x + z * z)) * sy,
    2 * (y * z - x * w) * sz,
    translation[1],
    2 * (x * z - y * w) * sx,
    2 * (y * z + x * w) * sy,
    (1 - 2 * (x * x + y * y)) * sz,
    translation[2],
    0,
    0,
    0,
    1,
  );
}

/** The nine cofactors of the upper left 3x3: the inverse transpose times the determinant. */
export function cofactors(m: ArrayLike<number>): number[] {
  const at = (row: number, column: number) => m[(row % 3) * 4 + (column % 3)];
  return Array.from({ length: 9 }, (_, i) => {
    const [r, c] = [Math.floor(i / 3), i % 3];
    return at(r + 1, c + 1) * at(r + 2, c + 2) - at(r + 1, c + 2) * at(r + 2, c + 1);
  });
}

/** Determinant of the upper left 3x3; negative for a mirror. */
export function determinant(m: ArrayLike<number>): number {
  const c = cofactors(m);
  return m[0] * c[0] + m[1] * c[1] + m[2] * c[2];
}

export function transformPoint(m: ArrayLike<number>, p: ArrayLike<number>): [number, number, number] {
  const at = (row: number) =>
    m[row * 4] * p[0] + m[row * 4 + 1] * p[1] + m[row * 4 + 2] * p[2] + m[row * 4 + 3];
  return [at(0), at(1), at(2)];
}

export function normalize(v: ArrayLike<number>): [number, number, number] {
  const length = Math.hypot(v[0], v[1], v[2]);
  return length > 0 ? [v[0] / length, v[1] / length, v[2] / length] : [0, 0, 0];
}

export function cross(a: ArrayLike<number>, b: ArrayLike<number>): [number, number, number] {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}
