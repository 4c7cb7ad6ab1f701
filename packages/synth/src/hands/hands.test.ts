import { matrices } from '@dwm/renderer/scene';
import { expect, test } from 'vitest';
import { armMatrices, forearmScene, handScene, restJoints } from './index.ts';

const { multiply, transformPoint } = matrices;

test.each(['left', 'right'] as const)('the %s hand is one closed surface with outward triangles', (side) => {
  const scene = handScene(side);
  const { positions, normals, indices, weights, joints } = scene.meshes[0].primitives[0];
  const vertices = positions.length / 3;
  expect(vertices).toBeGreaterThan(800);
  expect(vertices).toBeLessThan(2500);
  // Every edge is passed as often one way as the other.
  const edges = new Map<string, number>();
  let volume = 0;
  let outwards = 0;
  for (let t = 0; t < indices.length; t += 3) {
    const corners = [...indices.subarray(t, t + 3)];
    corners.forEach((a, i) => {
      const b = corners[(i + 1) % 3];
      edges.set(`${a},${b}`, (edges.get(`${a},${b}`) ?? 0) + 1);
    });
    const [a, b, c] = corners.map((v) => positions.subarray(3 * v, 3 * v + 3));
    const cross = [1, 2, 0].map((i, axis) => {
      const j = (axis + 2) % 3;
      return (b[i] - a[i]) * (c[j] - a[j]) - (b[j] - a[j]) * (c[i] - a[i]);
    });
    volume += (a[0] * cross[0] + a[1] * cross[1] + a[2] * cross[2]) / 6;
    const n = normals!.subarray(3 * corners[0], 3 * corners[0] + 3);
    if (n[0] * cross[0] + n[1] * cross[1] + n[2] * cross[2] > 0) outwards++;
  }
  for (const [edge, count] of edges) expect(edges.get(edge.split(',').reverse().join(','))).toBe(count);
  // Between 0.25 and 0.5 litres, an adult's hand.
  expect(volume).toBeGreaterThan(2.5e-4);
  expect(volume).toBeLessThan(5e-4);
  expect(outwards / (indices.length / 3)).toBeGreaterThan(0.99);
  for (let v = 0; v < vertices; v++) {
    const sum = weights!.subarray(4 * v, 4 * v + 4).reduce((a, b) => a + b);
    expect(sum).toBeCloseTo(1, 5);
    expect(Math.max(...joints!.subarray(4 * v, 4 * v + 4))).toBeLessThan(25);
  }
});

test('at rest the skin is where it was made; a bent finger leaves the others alone', () => {
  const { skins, meshes } = handScene('right');
  const rest = restJoints('right');
  const { inverseBind } = skins[0];
  rest.forEach((world, joint) => {
    const product = multiply(world, inverseBind[joint]);
    product.forEach((value, i) => {
      expect(value).toBeCloseTo(i % 5 === 0 ? 1 : 0, 9);
    });
  });
  const { joints, weights, positions } = meshes[0].primitives[0];
  // Vertices of the index finger's end never follow another finger's bones.
  const tip = rest[9];
  let seen = 0;
  for (let v = 0; v < positions.length / 3; v++) {
    const away = Math.hypot(...[0, 1, 2].map((axis) => positions[3 * v + axis] - tip[4 * axis + 3]));
    if (away > 0.02) continue;
    seen++;
    for (let i = 0; i < 4; i++) {
      if (weights![4 * v + i] > 1e-3) expect([5, 6, 7, 8]).toContain(joints![4 * v + i]);
    }
  }
  expect(seen).toBeGreaterThan(10);
});

test('the left hand is the right one seen in a mirror', () => {
  const [left, right] = (['left', 'right'] as const).map(
    (side) => handScene(side).meshes[0].primitives[0].positions,
  );
  right.forEach((value, i) => {
    expect(left[i]).toBeCloseTo(i % 3 === 0 ? -value : value, 12);
  });
  const [l, r] = [restJoints('left')[4], restJoints('right')[4]];
  expect([l[3], l[7], l[11]]).toEqual([-r[3], r[7], r[11]]);
  // Bones and backs are mirrored: columns z and y.
  for (const column of [1, 2]) expect(l[column]).toBeCloseTo(-r[column], 12);
  for (const column of [1, 2]) expect(l[4 + column]).toBeCloseTo(r[4 + column], 12);
});

test('an arm reaches from the wrist over the elbow to the shoulder', () => {
  const scene = forearmScene('right', [0.5, 0.3, 0.2], [0.1, 0.1, 0.5], 0.5);
  expect(scene.meshes[0].primitives).toHaveLength(3);
  expect(forearmScene('right', [1, 1, 1], [1, 1, 1], 0).meshes[0].primitives).toHaveLength(2);
  const wrist = Float64Array.of(1, 0, 0, 0.1, 0, 1, 0, 0.2, 0, 0, 1, 0.3, 0, 0, 0, 1);
  const [elbow, shoulder] = [
    [0.1, 0.0, 0.5],
    [0.3, 0.2, 0.6],
  ];
  const [forearm, upper] = armMatrices(wrist, elbow, shoulder);
  for (const [matrix, from, to, length] of [
    [forearm, [0.1, 0.2, 0.3], elbow, 0.26],
    [upper, elbow, shoulder, 0.3],
  ] as const) {
    const ends = [...transformPoint(matrix, [0, 0, 0]), ...transformPoint(matrix, [0, 0, length])];
    for (const [i, value] of [...from, ...to].entries()) expect(ends[i]).toBeCloseTo(value, 9);
  }
});
