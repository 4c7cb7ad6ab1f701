/**
 * Rotations in three spellings: unit quaternions [x, y, z, w], axis-angle vectors in radians, and 3x3 matrices
 * row by row. A quaternion is what everything goes through, because its logarithm is well behaved up to a half
 * turn, where reading an axis off a matrix is not. All in float64.
 */
export type Vec3 = readonly [x: number, y: number, z: number];

/** Unit quaternion, the scalar last. */
export type Quaternion = readonly [x: number, y: number, z: number, w: number];

export const IDENTITY_ROTATION: Quaternion = [0, 0, 0, 1];

export const add = (a: Vec3, b: Vec3): Vec3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a: Vec3, b: Vec3): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scale = (a: Vec3, s: number): Vec3 => [a[0] * s, a[1] * s, a[2] * s];
export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
export const length = (a: Vec3): number => Math.hypot(a[0], a[1], a[2]);
export const lerp = (a: Vec3, b: Vec3, t: number): Vec3 => add(scale(a, 1 - t), scale(b, t));

/** `a` at length one. @returns undefined where `a` has no direction. */
export function direction(a: Vec3): Vec3 | undefined {
  const norm = length(a);
  return norm > 1e-12 ? scale(a, 1 / norm) : undefined;
}

/** Numbers `at`, `at + 1`, `at + 2` of a flat array. */
export const vec3At = (data: ArrayLike<number>, at: number): Vec3 => [data[at], data[at + 1], data[at + 2]];

/** The same rotation at length one. @returns undefined where the length is zero or not finite. */
export function unit([x, y, z, w]: Quaternion): Quaternion | undefined {
  const norm = Math.hypot(x, y, z, w);
  return norm > 1e-12 && Number.isFinite(norm) ? [x / norm, y / norm, z / norm, w / norm] : undefined;
}

/** The rotation `b` followed by `a`. */
export function compose(a: Quaternion, b: Quaternion): Quaternion {
  const [ax, ay, az, aw] = a;
  const [bx, by, bz, bw] = b;
  return [
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
    aw * bw - ax * bx - ay * by - az * bz,
  ];
}

export const inverse = ([x, y, z, w]: Quaternion): Quaternion => [-x, -y, -z, w];

export function rotate(q: Quaternion, v: Vec3): Vec3 {
  const axis: Vec3 = [q[0], q[1], q[2]];
  const twice = scale(cross(axis, v), 2);
  return add(add(v, scale(twice, q[3])), cross(axis, twice));
}

/** exp: the rotation by |v| radians about v. */
export function fromAxisAngle(v: Vec3): Quaternion {
  const angle = length(v);
  // sin(a/2)/a, by its series where the quotient loses digits.
  const factor = angle < 1e-6 ? 0.5 - (angle * angle) / 48 : Math.sin(angle / 2) / angle;
  return [v[0] * factor, v[1] * factor, v[2] * factor, Math.cos(angle / 2)];
}

/** log: the axis times the angle, which lies in [0, pi]. */
export function toAxisAngle(q: Quaternion): Vec3 {
  const sign = q[3] < 0 ? -1 : 1;
  const sine = Math.hypot(q[0], q[1], q[2]);
  const cosine = Math.abs(q[3]);
  const factor = sine < 1e-9 ? 2 : (2 * Math.atan2(sine, cosine)) / sine;
  return [q[0] * sign * factor, q[1] * sign * factor, q[2] * sign * factor];
}

/** 3x3, row by row. */
export function toMatrix3([x, y, z, w]: Quaternion): number[] {
  return [
    1 - 2 * (y * y + z * z),
    2 * (x * y - z * w),
    2 * (x * z + y * w),
    2 * (x * y + z * w),
    1 - 2 * (x * x + z * z),
    2 * (y * z - x * w),
    2 * (x * z - y * w),
    2 * (y * z + x * w),
    1 - 2 * (x * x + y * y),
  ];
}

/**
 * From a 3x3 rotation, row by row, dividing by the largest of the four components (Shepperd, 1978).
 * Rounded matrices are fine: the result has length one.
 */
export function fromMatrix3(m: ArrayLike<number>): Quaternion {
  const trace = m[0] + m[4] + m[8];
  const largest = Math.max(m[0], m[4], m[8], trace);
  let q: Quaternion;
  if (largest === trace) q = [m[7] - m[5], m[2] - m[6], m[3] - m[1], 1 + trace];
  else if (largest === m[0]) q = [1 + 2 * m[0] - trace, m[1] + m[3], m[2] + m[6], m[7] - m[5]];
  else if (largest === m[4]) q = [m[1] + m[3], 1 + 2 * m[4] - trace, m[5] + m[7], m[2] - m[6]];
  else q = [m[2] + m[6], m[5] + m[7], 1 + 2 * m[8] - trace, m[3] - m[1]];
  return unit(q) ?? IDENTITY_ROTATION;
}

/** The rotation whose matrix has these columns, an orthonormal right-handed frame. */
export const fromFrame = (x: Vec3, y: Vec3, z: Vec3): Quaternion =>
  fromMatrix3([x[0], y[0], z[0], x[1], y[1], z[1], x[2], y[2], z[2]]);

/** The shortest rotation that turns the unit vector `from` into `to`; about `spare` where they are opposite. */
export function swing(from: Vec3, to: Vec3, spare: Vec3): Quaternion {
  const cosine = dot(from, to);
  if (cosine < -1 + 1e-12) return [spare[0], spare[1], spare[2], 0];
  const [x, y, z] = cross(from, to);
  return unit([x, y, z, 1 + cosine])!;
}

/** Spherical interpolation on the shorter arc (Shoemake, 1985): `a` at t = 0, `b` at t = 1. */
export function slerp(a: Quaternion, b: Quaternion, t: number): Quaternion {
  const cosine = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
  const near: Quaternion = cosine < 0 ? [-b[0], -b[1], -b[2], -b[3]] : b;
  return arc(a, near, t);
}

/** Spherical interpolation from `a` to `b` as they are, without choosing a sign: what squad is made of. */
export function arc(a: Quaternion, b: Quaternion, t: number): Quaternion {
  const cosine = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  const wa = sine < 1e-6 ? 1 - t : Math.sin((1 - t) * angle) / sine;
  const wb = sine < 1e-6 ? t : Math.sin(t * angle) / sine;
  const mixed: Quaternion = [
    wa * a[0] + wb * b[0],
    wa * a[1] + wb * b[1],
    wa * a[2] + wb * b[2],
    wa * a[3] + wb * b[3],
  ];
  return unit(mixed) ?? a;
}
