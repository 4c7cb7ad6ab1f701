/**
 * Camera poses that say what they are. A 4x4 matrix alone does not tell whether it maps camera to world or back,
 * nor whether the camera looks along -z (OpenGL, nerfstudio, WebXR, Blender) or +z with y down (OpenCV, COLMAP,
 * Aria). Here both are part of the type, so mixing them up does not compile.
 */
import { fromMatrix3, type Quaternion, toMatrix3, unit, type Vec3 } from './rotation.ts';

/** `opengl`: x right, y up, looking along -z. `opencv`: x right, y down, looking along +z. */
export type Axes = 'opengl' | 'opencv';

/** Which way a camera's pose maps points. */
export type Direction = 'camera-to-world' | 'world-to-camera';

type Opposite<D extends Direction> = D extends 'camera-to-world' ? 'world-to-camera' : 'camera-to-world';

/** A rigid camera pose, metres, column vectors. COLMAP's is `Pose<'opencv', 'world-to-camera'>`. */
export interface Pose<A extends Axes, D extends Direction = 'camera-to-world'> {
  readonly axes: A;
  readonly direction: D;
  /** [4, 4], row by row, the last row 0 0 0 1. */
  readonly matrix: Float64Array;
}

/** Names a matrix of 16 numbers, row by row, as a camera-to-world pose. */
export function cameraToWorld<A extends Axes>(axes: A, matrix: ArrayLike<number>): Pose<A> {
  return { axes, direction: 'camera-to-world', matrix: Float64Array.from(matrix) };
}

/** Names a matrix of 16 numbers, row by row, as a world-to-camera pose (extrinsics). */
export function worldToCamera<A extends Axes>(
  axes: A,
  matrix: ArrayLike<number>,
): Pose<A, 'world-to-camera'> {
  return { axes, direction: 'world-to-camera', matrix: Float64Array.from(matrix) };
}

/** A camera at `position` (metres) turned by `rotation`, camera to world. */
export function placedCamera<A extends Axes>(axes: A, position: Vec3, rotation: Quaternion): Pose<A> {
  return cameraToWorld(axes, rigidMatrix(position, rotation));
}

/** [4, 4], row by row: rotation, then translation. */
export function rigidMatrix([x, y, z]: Vec3, rotation: Quaternion): Float64Array {
  const r = toMatrix3(rotation);
  return Float64Array.of(r[0], r[1], r[2], x, r[3], r[4], r[5], y, r[6], r[7], r[8], z, 0, 0, 0, 1);
}

/** The translation and the rotation of a pose. */
export function placement(pose: Pose<Axes, Direction>): { position: Vec3; rotation: Quaternion } {
  const m = pose.matrix;
  return {
    position: [m[3], m[7], m[11]],
    rotation: fromMatrix3([m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]]),
  };
}

/** The same pose in other camera axes. Only signs change, so there and back is bit for bit the same. */
export function withAxes<A extends Axes, D extends Direction>(pose: Pose<Axes, D>, axes: A): Pose<A, D> {
  const matrix = pose.matrix.slice();
  if (pose.axes !== axes) {
    const columns = pose.direction === 'camera-to-world';
    // diag(1, -1, -1, 1) on the camera's side. Zeros stay zeros: -0 would make equal poses look different.
    for (let row = 0; row < 4; row++)
      for (let column = 0; column < 4; column++) {
        const side = columns ? column : row;
        const at = 4 * row + column;
        if ((side === 1 || side === 2) && matrix[at] !== 0) matrix[at] = -matrix[at];
      }
  }
  return { axes, direction: pose.direction, matrix };
}

/** Camera-to-world from world-to-camera, or the other way. */
export function inverted<A extends Axes, D extends Direction>(pose: Pose<A, D>): Pose<A, Opposite<D>> {
  const direction = pose.direction === 'camera-to-world' ? 'world-to-camera' : 'camera-to-world';
  return { axes: pose.axes, direction: direction as Opposite<D>, matrix: invertAffine(pose.matrix) };
}

/**
 * Inverse of a 4x4 whose last row is 0 0 0 1. The true inverse and not the transpose: files hold rotations
 * rounded to a few digits, and only the true inverse takes such a pose there and back unchanged.
 */
export function invertAffine(m: ArrayLike<number>): Float64Array {
  const c0 = m[5] * m[10] - m[6] * m[9];
  const c1 = m[6] * m[8] - m[4] * m[10];
  const c2 = m[4] * m[9] - m[5] * m[8];
  const s = 1 / (m[0] * c0 + m[1] * c1 + m[2] * c2);
  const r = [
    c0 * s,
    (m[2] * m[9] - m[1] * m[10]) * s,
    (m[1] * m[6] - m[2] * m[5]) * s,
    c1 * s,
    (m[0] * m[10] - m[2] * m[8]) * s,
    (m[2] * m[4] - m[0] * m[6]) * s,
    c2 * s,
    (m[1] * m[8] - m[0] * m[9]) * s,
    (m[0] * m[5] - m[1] * m[4]) * s,
  ];
  const t = [0, 3, 6].map((row) => -(r[row] * m[3] + r[row + 1] * m[7] + r[row + 2] * m[11]));
  return Float64Array.of(r[0], r[1], r[2], t[0], r[3], r[4], r[5], t[1], r[6], r[7], r[8], t[2], 0, 0, 0, 1);
}

/** Product of two 4x4 matrices, row by row. */
export function multiply(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  const product = new Float64Array(16);
  for (let row = 0; row < 4; row++)
    for (let column = 0; column < 4; column++)
      for (let k = 0; k < 4; k++) product[4 * row + column] += a[4 * row + k] * b[4 * k + column];
  return product;
}

/** COLMAP's image pose: `qvec` is w x y z of any length but zero, either sign; `tvec` in COLMAP's own unit. */
export interface ColmapPose {
  readonly qvec: readonly [w: number, x: number, y: number, z: number];
  readonly tvec: Vec3;
}

/** @returns undefined where qvec has no length. */
export function fromColmap({ qvec, tvec }: ColmapPose): Pose<'opencv', 'world-to-camera'> | undefined {
  const rotation = unit([qvec[1], qvec[2], qvec[3], qvec[0]]);
  return rotation && worldToCamera('opencv', rigidMatrix(tvec, rotation));
}

/** COLMAP's spelling of a pose, w >= 0. */
export function toColmap(pose: Pose<'opencv', 'world-to-camera'>): ColmapPose {
  const { position, rotation } = placement(pose);
  const [x, y, z, w] = rotation;
  const sign = w < 0 ? -1 : 1;
  return { qvec: [w * sign, x * sign, y * sign, z * sign], tvec: position };
}

/** The matrix by columns in float32, as WGSL's `mat4x4f` is laid out. */
export function columnMajor(matrix: ArrayLike<number>): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: 16 }, (_, i) => matrix[4 * (i % 4) + Math.floor(i / 4)]);
}
