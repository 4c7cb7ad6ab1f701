import { openNodeDevice } from '@dwm/core-tensor/node';
import { seeded } from '@dwm/core-tensor/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { randomCloud } from '../../tests/splat-files.ts';
import { fromFieldOfView, placedCamera, type Quaternion, type Vec3 } from '../camera/index.ts';
import { compose, IDENTITY_ROTATION, inverse, rotate, toMatrix3, unit } from '../camera/rotation.ts';
import { readDefaultHand } from '../node/index.ts';
import type { Scene } from '../scene/scene.ts';
import type { SplatCloud } from '../splats/cloud.ts';
import { bandMatrices, placeCloud } from '../splats/place-cloud.ts';
import { NO_HANDS, type Trajectory } from '../trajectory/index.ts';
import {
  guessPlacement,
  insideSolid,
  placeScene,
  renderSceneClip,
  type SignedAxis,
  StaticScene,
} from './index.ts';
import { uprightTurn } from './place-scene.ts';
import { AXES } from './scene-check.ts';

const device = await openNodeDevice();
afterAll(() => device.destroy());
const random = seeded(5);
const turn = (): Quaternion => unit([0, 0, 0, 0].map(() => 2 * random() - 1) as unknown as Quaternion)!;

function along(rotation: Quaternion, position: Vec3, size = 96): Trajectory {
  const intrinsics = fromFieldOfView(size, (size * 2) / 3, 1);
  const camera = placedCamera('opengl', position, rotation);
  return { fps: 8, frames: [{ seconds: 0, intrinsics, camera, hands: NO_HANDS }] };
}

describe('a cloud that is turned', () => {
  test('has band matrices that are rotations, and of band 1 the rotation itself', () => {
    const rotation = turn();
    const r = toMatrix3(rotation);
    // Band 1 is (-y, z, -x).
    const [order, sign] = [
      [1, 2, 0],
      [-1, 1, -1],
    ];
    const bands = bandMatrices(rotation);
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 3; j++)
        expect(bands[0][i][j]).toBeCloseTo(sign[i] * sign[j] * r[3 * order[i] + order[j]], 12);
    for (const matrix of bands)
      for (const a of matrix)
        for (const b of matrix)
          expect(a.reduce((sum, value, k) => sum + value * b[k], 0)).toBeCloseTo(Number(a === b), 12);
    // One turn after another.
    const second = turn();
    const [first, next, both] = [rotation, second, compose(second, rotation)].map((q) => bandMatrices(q)[2]);
    for (let i = 0; i < 7; i++)
      for (let j = 0; j < 7; j++)
        expect(both[i][j]).toBeCloseTo(
          next[i].reduce((sum, x, k) => sum + x * first[k][j], 0),
          12,
        );
  });

  test('looks the same to a camera that is turned with it', async () => {
    const [rotation, factor] = [turn(), 2.5];
    const camera: readonly [Quaternion, Vec3] = [turn(), [0.3, -0.2, 0.4]];
    const back = rotate(camera[0], [0, 0, 3]);
    const place = camera[1].map((x, axis) => x + back[axis]) as unknown as Vec3;
    const draw = async (splats: SplatCloud, trajectory: Trajectory) => {
      const scene = await StaticScene.load(device, { splats });
      const clip = await renderSceneClip(scene, trajectory);
      scene.destroy();
      return clip.data;
    };
    const before = await draw(randomCloud(200, 3), along(camera[0], place));
    const cloud = randomCloud(200, 3);
    placeCloud(cloud, rotation, factor);
    const moved = rotate(rotation, place).map((x) => factor * x) as unknown as Vec3;
    const after = await draw(cloud, along(compose(rotation, camera[0]), moved));
    expect(new Set(before).size).toBeGreaterThan(100);
    const worst = before.reduce((most, value, i) => Math.max(most, Math.abs(value - after[i])), 0);
    expect(worst).toBeLessThanOrEqual(2);
  });
});

test.each(Object.keys(AXES) as SignedAxis[])('up %s becomes +y', (axis) => {
  const turned = rotate(uprightTurn(AXES[axis]), AXES[axis]);
  expect(turned.map((x) => Math.round(x * 1e15) / 1e15 + 0)).toEqual([0, 1, 0]);
  const up: Vec3 = [0.2, -0.7, 0.4];
  expect(rotate(uprightTurn(up), up)[1]).toBeCloseTo(Math.hypot(...up), 12);
  // Down is turned about x, as OpenCV's axes become OpenGL's.
  expect(rotate(uprightTurn([0, -1, 0]), [1, 2, 3])).toEqual([1, -2, -3]);
});

test('meshes are placed by a node of their own; nothing to do changes nothing', async () => {
  const meshes = await readDefaultHand('left');
  expect(placeScene({ meshes }, {}).meshes).toBe(meshes);
  expect(placeScene({ meshes }, { up: [0, 2, 0] }).meshes).toBe(meshes);
  const { meshes: placed } = placeScene({ meshes }, { up: AXES.z, scale: 0.01 });
  expect(placed!.nodes[0]).toMatchObject({ scale: [0.01, 0.01, 0.01], parent: -1 });
  expect(rotate(placed!.nodes[0].rotation as unknown as Quaternion, [0, 0, 1])[1]).toBeCloseTo(1, 12);
});

/** Boxes: `[from, to]` corners, faces outwards, or inwards for a room. */
function boxes(all: readonly { from: Vec3; to: Vec3; inwards?: true }[]): Scene {
  const primitives = all.map(({ from, to, inwards }) => {
    const corner = (i: number) => [0, 1, 2].map((axis) => ((i >> axis) & 1 ? to : from)[axis]);
    const sides = [0, 1, 2].flatMap((axis) => {
      const [u, v] = [1 << ((axis + 1) % 3), 1 << ((axis + 2) % 3)];
      const high = 1 << axis;
      return [
        [0, v, u + v, 0, u + v, u],
        [high, high + u, high + u + v, high, high + u + v, high + v],
      ];
    });
    return {
      positions: Float32Array.from({ length: 24 }, (_, i) => corner(Math.floor(i / 3))[i % 3]),
      indices: Uint32Array.from(sides.flatMap((side) => (inwards ? [...side].reverse() : side))),
      influences: 0,
      material: -1,
    };
  });
  const still = { translation: [0, 0, 0], rotation: [0, 0, 0, 1], scale: [1, 1, 1], skin: -1, light: -1 };
  return {
    name: 'boxes',
    nodes: [{ name: 'all', parent: -1, mesh: 0, ...still }],
    roots: [0],
    meshes: [{ name: 'all', primitives }],
    materials: [],
    images: [],
    skins: [],
    lights: [],
  };
}

/** A table on a floor, y up, metres. */
const table = boxes([
  { from: [-3, -0.05, -3], to: [3, 0, 3] },
  { from: [-0.8, 0.7, -0.4], to: [0.8, 0.75, 0.4] },
  { from: [-0.1, 0, -0.1], to: [0.1, 0.7, 0.1] },
]);
/** A quarter of a turn that makes y up into z up, and others. */
const lying = (up: SignedAxis) => {
  const q = inverse(uprightTurn(AXES[up]));
  const { positions, ...rest } = table.meshes[0].primitives[0];
  const turned = table.meshes[0].primitives.map((primitive) => ({
    ...rest,
    indices: primitive.indices,
    positions: Float32Array.from(
      Array.from({ length: 8 }, (_, i) =>
        rotate(q, [...primitive.positions.subarray(3 * i, 3 * i + 3)] as unknown as Vec3),
      ).flat(),
    ),
  }));
  return { ...table, meshes: [{ name: 'all', primitives: turned }] };
};
/** Looks down by 35 degrees, as people do at a table. */
const down: Quaternion = [-Math.sin(0.3), 0, 0, Math.cos(0.3)];
const person = along(down, [0, 1.6, 1.5]);

describe('what seems wrong', () => {
  test.each(Object.keys(AXES) as SignedAxis[])('a scene whose up is %s', (up) => {
    const { up: guess, scale, extent } = guessPlacement({ meshes: lying(up) }, person);
    expect([guess, scale]).toEqual([up === 'y' ? undefined : up, undefined]);
    expect(extent).toBeCloseTo(5.8, 0);
    // What is offered mends it.
    const mended = placeScene({ meshes: lying(up) }, { up: AXES[up] });
    expect(guessPlacement(mended, person).up).toBeUndefined();
  });

  test('cameras of a world with z up want the scene turned to them', () => {
    const toZ = inverse(uprightTurn(AXES.z));
    const other = along(compose(toZ, down), rotate(toZ, [0, 1.6, 1.5]));
    expect(guessPlacement({ meshes: lying('z') }, other).up).toBeUndefined();
    const { up } = guessPlacement({ meshes: table }, other);
    expect(guessPlacement(placeScene({ meshes: table }, { up: AXES[up!] }), other).up).toBeUndefined();
  });

  test.each([
    [100, 0.01],
    [1000, 0.001],
    [1, undefined],
    [0.005, 100],
  ])('a scene of %d units a metre', (units, scale) => {
    const { meshes } = placeScene({ meshes: table }, { scale: units });
    expect(guessPlacement({ meshes }, person).scale).toBe(scale);
  });

  test.each([
    ['flat', 0.001],
    ['round', 0.1],
  ])('%s splats say the same', (_, thickness) => {
    const cloud = randomCloud(2000, 0);
    // A floor below a cloud.
    cloud.opacities.fill(0.9);
    for (let i = 0; i < 2000; i++) {
      if (i % 2) cloud.positions[3 * i + 2] = -1;
      cloud.scales.set(i % 2 ? [0.1, 0.1, thickness] : [0.1, 0.1, 0.1], 3 * i);
      cloud.rotations.set([1, 0, 0, 0], 4 * i);
    }
    expect(guessPlacement({ splats: cloud }, person).up).toBe('z');
    placeCloud(cloud, uprightTurn(AXES.z), 1);
    expect(guessPlacement({ splats: cloud }, person).up).toBeUndefined();
  });

  test('a camera in a solid, not one in a room or before it', () => {
    const cupboard = boxes([{ from: [-0.5, 0, -0.5], to: [0.5, 2, 0.5] }]);
    const inside = along(IDENTITY_ROTATION, [0, 1, 0.1]);
    expect(insideSolid({ meshes: cupboard }, inside, 0)).toBeCloseTo(0.6, 1);
    expect(insideSolid({ meshes: cupboard }, along(IDENTITY_ROTATION, [0, 1, 3]), 0)).toBeUndefined();
    expect(insideSolid({ meshes: cupboard }, along(IDENTITY_ROTATION, [0, 1, -3]), 0)).toBeUndefined();
    const room = boxes([{ from: [-0.5, 0, -0.5], to: [0.5, 2, 0.5], inwards: true }]);
    expect(insideSolid({ meshes: room }, inside, 0)).toBeUndefined();
  });
});
