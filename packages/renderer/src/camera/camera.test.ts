import { relativeError, seeded } from '@dwm/core-tensor/testing';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { fitRigid } from './fit-rigid.ts';
import {
  cameraToWorld,
  columnMajor,
  frameTimes,
  fromAxisAngle,
  fromColmap,
  fromFieldOfView,
  inverted,
  type Pose,
  placedCamera,
  placement,
  type Quaternion,
  samplePath,
  shaken,
  slerp,
  splinePath,
  type TimedPose,
  toAxisAngle,
  toColmap,
  type Vec3,
  withAxes,
  worldToCamera,
} from './index.ts';
import { multiply } from './pose.ts';
import { fromMatrix3, rotate, toMatrix3, unit } from './rotation.ts';

const random = seeded(1);
const signed = () => 2 * random() - 1;
const vec = (size = 1): Vec3 => [size * signed(), size * signed(), size * signed()];
const turn = (): Quaternion => unit([signed(), signed(), signed(), signed()])!;

/** exp of the cross-product matrix by its power series: a reference that shares nothing with quaternions. */
function matrixExponential([x, y, z]: Vec3): number[] {
  const k = [0, -z, y, z, 0, -x, -y, x, 0];
  let term = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  const sum = [...term];
  for (let n = 1; n < 60; n++) {
    term = term.map((_, i) => {
      const [row, column] = [Math.floor(i / 3), i % 3];
      return [0, 1, 2].reduce((s, m) => s + term[3 * row + m] * k[3 * m + column], 0) / n;
    });
    term.forEach((value, i) => {
      sum[i] += value;
    });
  }
  return sum;
}

describe('rotations', () => {
  test('axis-angle, quaternion and matrix agree with the matrix exponential', () => {
    for (const size of [0, 1e-9, 1e-4, 1, Math.PI - 1e-6, 5]) {
      const axis = unit([...vec(), 0] as Quaternion)!;
      const v: Vec3 = [axis[0] * size, axis[1] * size, axis[2] * size];
      const expected = matrixExponential(v);
      const q = fromAxisAngle(v);
      expect(relativeError(toMatrix3(q), expected)).toBeLessThan(1e-13);
      expect(relativeError(toMatrix3(fromMatrix3(expected)), expected)).toBeLessThan(1e-13);
      expect(relativeError(toMatrix3(fromAxisAngle(toAxisAngle(q))), expected)).toBeLessThan(1e-13);
      if (size < Math.PI) expect(Math.abs(Math.hypot(...toAxisAngle(q)) - size)).toBeLessThan(1e-12);
    }
  });

  test('a half turn about any axis survives the way through a matrix', () => {
    for (const axis of [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
      [0.6, 0, 0.8],
      [0.36, 0.48, -0.8],
    ] as Vec3[]) {
      const half: Vec3 = [axis[0] * Math.PI, axis[1] * Math.PI, axis[2] * Math.PI];
      const back = toMatrix3(fromAxisAngle(toAxisAngle(fromMatrix3(matrixExponential(half)))));
      expect(relativeError(back, matrixExponential(half))).toBeLessThan(1e-7);
    }
  });

  test('slerp turns at constant speed on the shorter arc, whatever the signs', () => {
    const [a, b] = [turn(), turn()];
    const minus = b.map((x) => -x) as unknown as Quaternion;
    const angle = (p: Quaternion, q: Quaternion) =>
      2 * Math.acos(Math.min(1, Math.abs(p.reduce((sum, x, i) => sum + x * q[i], 0))));
    for (const t of [0, 0.25, 0.7, 1]) {
      expect(angle(a, slerp(a, b, t))).toBeCloseTo(t * angle(a, b), 6);
      expect(relativeError(toMatrix3(slerp(a, minus, t)), toMatrix3(slerp(a, b, t)))).toBeLessThan(1e-12);
    }
    expect(slerp(a, a, 0.3).every((x, i) => Math.abs(x - a[i]) < 1e-15)).toBe(true);
  });
});

describe('poses', () => {
  test('conventions are part of the type', () => {
    const opengl = placedCamera('opengl', vec(), turn());
    expectTypeOf(opengl).toEqualTypeOf<Pose<'opengl'>>();
    expectTypeOf(opengl).not.toExtend<Pose<'opencv'>>();
    expectTypeOf(inverted(opengl)).toEqualTypeOf<Pose<'opengl', 'world-to-camera'>>();
    expectTypeOf(withAxes(opengl, 'opencv')).toEqualTypeOf<Pose<'opencv'>>();
    expectTypeOf(inverted(withAxes(opengl, 'opencv'))).toEqualTypeOf<Pose<'opencv', 'world-to-camera'>>();
    // @ts-expect-error COLMAP's poses are world-to-camera in OpenCV axes.
    toColmap(opengl);
    // @ts-expect-error The axes are right, the direction is not.
    toColmap(withAxes(opengl, 'opencv'));
    expectTypeOf(toColmap).parameter(0).toEqualTypeOf<Pose<'opencv', 'world-to-camera'>>();
  });

  test('OpenGL to OpenCV and back is bit for bit the same, in both directions', () => {
    for (const pose of [
      placedCamera('opengl', vec(3), turn()),
      placedCamera('opengl', [0, -0, 1], [0, 0, 0, 1]),
    ]) {
      expect(withAxes(withAxes(pose, 'opencv'), 'opengl').matrix).toEqual(pose.matrix);
      const extrinsics = inverted(pose);
      expect(withAxes(withAxes(extrinsics, 'opencv'), 'opengl').matrix).toEqual(extrinsics.matrix);
      expect(withAxes(pose, 'opengl').matrix).toEqual(pose.matrix);
    }
  });

  test('OpenGL to COLMAP and back, far from the origin too', () => {
    for (let i = 0; i < 50; i++) {
      const pose = placedCamera('opengl', vec(100), turn());
      const colmap = toColmap(inverted(withAxes(pose, 'opencv')));
      const back = withAxes(inverted(fromColmap(colmap)!), 'opengl');
      expect(relativeError(back.matrix, pose.matrix)).toBeLessThan(1e-14);
      expect(colmap.qvec[0]).toBeGreaterThanOrEqual(0);
    }
    expect(fromColmap({ qvec: [0, 0, 0, 0], tvec: [0, 0, 0] })).toBeUndefined();
  });

  test('a point ahead of the camera is ahead in every convention', () => {
    const [position, rotation] = [vec(2), turn()];
    const pose = placedCamera('opengl', position, rotation);
    const ahead = rotate(rotation, [0.1, 0.2, -3]).map((x, i) => x + position[i]);
    const seen = (matrix: Float64Array) =>
      [0, 1, 2].map((row) =>
        [0, 1, 2].reduce((s, k) => s + matrix[4 * row + k] * ahead[k], matrix[4 * row + 3]),
      );
    expect(relativeError(seen(inverted(pose).matrix), [0.1, 0.2, -3])).toBeLessThan(1e-14);
    expect(relativeError(seen(inverted(withAxes(pose, 'opencv')).matrix), [0.1, -0.2, 3])).toBeLessThan(
      1e-14,
    );
  });

  test('a rounded rotation inverts to what undoes it', () => {
    const rounded = placedCamera('opengl', vec(), turn()).matrix.map((x) => Math.round(x * 1e4) / 1e4);
    const product = multiply(inverted(cameraToWorld('opengl', rounded)).matrix, rounded);
    const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    expect(relativeError(product, identity)).toBeLessThan(1e-15);
    expect(worldToCamera('opencv', identity).direction).toBe('world-to-camera');
  });

  test('placement undoes placedCamera, columnMajor transposes', () => {
    const [position, rotation] = [vec(), turn()];
    const pose = placedCamera('opencv', position, rotation);
    const found = placement(pose);
    expect(found.position).toEqual(position);
    expect(relativeError(toMatrix3(found.rotation), toMatrix3(rotation))).toBeLessThan(1e-14);
    expect(Array.from(columnMajor(pose.matrix).subarray(12, 15))).toEqual(position.map(Math.fround));
  });
});

test('a horizontal field of view alone means square pixels', () => {
  expect(fromFieldOfView(720, 480, Math.PI / 2)).toEqual({
    fx: expect.closeTo(360),
    fy: expect.closeTo(360),
    cx: 360,
    cy: 240,
    width: 720,
    height: 480,
  });
});

const keys = (count: number): TimedPose[] => {
  let seconds = 0;
  return Array.from({ length: count }, () => {
    seconds += 0.2 + random();
    return { seconds, position: vec(), rotation: turn() };
  });
};

describe('paths', () => {
  test('a spline passes through its keys and is smooth there in place and turn', () => {
    const path = keys(7);
    const at = splinePath(
      path,
      path.map(({ seconds }) => seconds),
    );
    at.forEach((pose, i) => {
      expect(relativeError(pose.position, path[i].position)).toBeLessThan(1e-12);
      expect(relativeError(toMatrix3(pose.rotation), toMatrix3(path[i].rotation))).toBeLessThan(1e-9);
    });
    const step = 1e-7;
    for (let i = 1; i < 6; i++) {
      const time = path[i].seconds;
      const [before, here, after] = splinePath(path, [time - step, time, time + step]);
      const direction = (a: TimedPose, b: TimedPose) => {
        const d = b.position.map((x, k) => x - a.position[k]);
        return d.map((x) => x / Math.hypot(...d));
      };
      expect(relativeError(direction(before, here), direction(here, after))).toBeLessThan(1e-3);
    }
  });

  test('a spline through evenly placed keys on a line is that line', () => {
    const path = [0, 1, 2, 3].map((k) => ({
      seconds: k,
      position: [k, 2 * k, -k] as Vec3,
      rotation: fromAxisAngle([0, 0.3 * k, 0]),
    }));
    const [pose] = splinePath(path, [1.37]);
    expect(relativeError(pose.position, [1.37, 2.74, -1.37])).toBeLessThan(1e-12);
    expect(toAxisAngle(pose.rotation)[1]).toBeCloseTo(0.3 * 1.37, 12);
  });

  test('a spline stands coincident keys, single keys and times outside', () => {
    const [a, b] = keys(2);
    const still = [
      a,
      { ...a, seconds: a.seconds + 1 },
      { ...b, seconds: a.seconds + 2 },
      { ...b, seconds: a.seconds + 3 },
    ];
    for (const pose of splinePath(
      still,
      [-9, 0.5, 1, 1.5, 2, 2.7, 99].map((t) => a.seconds + t),
    ))
      expect([...pose.position, ...pose.rotation].every(Number.isFinite)).toBe(true);
    expect(splinePath([a], [0])[0].position).toEqual(a.position);
    expect(() => splinePath([], [0])).toThrow('keys: empty');
    expect(() => splinePath([a, a], [0])).toThrow('increasing times');
  });

  test('samples lie on the segments, clamped at the ends', () => {
    const path = keys(4);
    const middle = (path[1].seconds + path[2].seconds) / 2;
    const [first, half, last] = samplePath(path, [-1, middle, 1e9]);
    expect(first.position).toEqual(path[0].position);
    expect(last.position).toEqual(path[3].position);
    expect(
      relativeError(
        half.position,
        path[1].position.map((x, i) => (x + path[2].position[i]) / 2),
      ),
    ).toBeLessThan(1e-12);
  });

  test('frame times stop at the end of the recording', () => {
    expect(frameTimes(0, 0.3, 10)).toHaveLength(4);
    expect(frameTimes(2, 2, 8)).toEqual([2]);
    expect(frameTimes(0, 6, 8, 49).at(-1)).toBe(6);
    expect(() => frameTimes(0, 3, 8, 49)).toThrow('at most 25 frames');
    expect(() => frameTimes(0, 1e12, 8)).toThrow('at most 1000000');
    for (const fps of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => frameTimes(0, 1, fps)).toThrow('fps');
  });

  test('shake is repeatable, of the asked size, and has nothing above its band', () => {
    const rate = 64;
    const still = Array.from({ length: 4096 }, (_, i) => ({
      seconds: i / rate,
      position: [1, 2, 3] as Vec3,
      rotation: [0, 0, 0, 1] as Quaternion,
    }));
    const options = { seed: 7, position: 0.02, rotation: 0.01, maxFrequency: 3 };
    const path = shaken(still, options);
    expect(shaken(still, options)).toEqual(path);
    expect(shaken(still, { ...options, seed: 8 })[5]).not.toEqual(path[5]);
    for (const signal of [path.map((p) => p.position[0] - 1), path.map((p) => toAxisAngle(p.rotation)[1])]) {
      const size = Math.sqrt(signal.reduce((sum, x) => sum + x * x, 0) / signal.length);
      const asked = signal[0] === path[0].position[0] - 1 ? 0.02 : 0.01;
      expect(size / asked).toBeGreaterThan(0.7);
      expect(size / asked).toBeLessThan(1.4);
      // Windowed power around a frequency.
      const power = (hz: number) => {
        let [re, im] = [0, 0];
        signal.forEach((x, i) => {
          const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / signal.length);
          re += window * x * Math.cos((2 * Math.PI * hz * i) / rate);
          im += window * x * Math.sin((2 * Math.PI * hz * i) / rate);
        });
        return re * re + im * im;
      };
      const below = Math.max(...Array.from({ length: 60 }, (_, k) => power(0.05 * (k + 1))));
      const above = Math.max(...Array.from({ length: 60 }, (_, k) => power(3.2 + 0.45 * k)));
      expect(above / below).toBeLessThan(1e-4);
    }
  });
});

test('the rigid fit finds the motion, and refuses points on a line', () => {
  const points = Array.from({ length: 6 }, () => vec());
  const [rotation, translation] = [turn(), vec(5)];
  const moved = points.map((p) => rotate(rotation, p).map((x, i) => x + translation[i]) as unknown as Vec3);
  const fit = fitRigid(points, moved)!;
  expect(relativeError(toMatrix3(fit.rotation), toMatrix3(rotation))).toBeLessThan(1e-12);
  expect(relativeError(fit.translation, translation)).toBeLessThan(1e-12);
  const line = points.map((_, i) => [i, 2 * i, 3 * i] as Vec3);
  expect(fitRigid(line, line)).toBeUndefined();
  expect(
    fitRigid(
      points,
      points.map(() => [1, 1, 1] as Vec3),
    ),
  ).toBeUndefined();
});
