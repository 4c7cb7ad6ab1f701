/**
 * From a camera to clip space. Geometry reaches the shaders relative to the camera's position, so that large
 * world coordinates cost no precision, and depth is reversed and endless: near / z, 1 at the near plane, 0 at
 * infinity, which spreads float32's precision evenly over relative depth.
 */
import type { Intrinsics } from '../camera/intrinsics.ts';
import { type Axes, type Pose, withAxes } from '../camera/pose.ts';

/** A camera and where it is. */
export interface View {
  readonly intrinsics: Intrinsics;
  /** Camera to world, metres. */
  readonly pose: Pose<Axes>;
  /** Nothing nearer is drawn, metres; 0.01 by default. */
  readonly near?: number;
}

/** Near plane where none is given, metres. */
export const DEFAULT_NEAR = 0.01;

export const positionOf = ({ pose: { matrix } }: View): readonly [number, number, number] => [
  matrix[3],
  matrix[7],
  matrix[11],
];

/** Clip from camera-relative world coordinates: [4, 4] row by row. */
export function clipMatrix({ intrinsics, pose, near = DEFAULT_NEAR }: View): Float64Array {
  const { fx, fy, cx, cy, width, height } = intrinsics;
  const m = withAxes(pose, 'opencv').matrix;
  const inverse = inverse3(m);
  const [right, down, forward] = [0, 1, 2].map((row) => inverse.slice(row * 3, row * 3 + 3));
  const mix = (a: number, x: readonly number[], b: number, y: readonly number[]) => [
    ...x.map((value, i) => a * value + b * y[i]),
    0,
  ];
  // u = fx x / z + cx and v = fy y / z + cy, to [-1, 1] with y up.
  return Float64Array.of(
    ...mix((2 * fx) / width, right, (2 * cx) / width - 1, forward),
    ...mix((-2 * fy) / height, down, 1 - (2 * cy) / height, forward),
    0,
    0,
    0,
    near,
    ...forward,
    0,
  );
}

/** World direction of the pixel (u, v): rows a, b, c of a u + b v + c, [3, 4]. */
export function rayMatrix({ intrinsics: { fx, fy, cx, cy }, pose }: View): Float64Array {
  const m = withAxes(pose, 'opencv').matrix;
  const axis = (column: number) => [m[column], m[4 + column], m[8 + column]];
  const [right, down, forward] = [axis(0), axis(1), axis(2)];
  return Float64Array.of(
    ...right.map((value) => value / fx),
    0,
    ...down.map((value) => value / fy),
    0,
    ...forward.map((value, i) => value - (right[i] * cx) / fx - (down[i] * cy) / fy),
    0,
  );
}

/** Of the upper left 3x3; files hold rotations rounded to a few digits, so the transpose is not enough. */
function inverse3(m: ArrayLike<number>): number[] {
  const at = (row: number, column: number) => m[(row % 3) * 4 + (column % 3)];
  const cofactor = (r: number, c: number) =>
    at(r + 1, c + 1) * at(r + 2, c + 2) - at(r + 1, c + 2) * at(r + 2, c + 1);
  const det = at(0, 0) * cofactor(0, 0) + at(0, 1) * cofactor(0, 1) + at(0, 2) * cofactor(0, 2);
  return Array.from({ length: 9 }, (_, i) => cofactor(i % 3, Math.floor(i / 3)) / det);
}
