/** A clip small enough to reason about: a grey room, a red box that a right hand slides to the right. */
import { fromFieldOfView, placedCamera, type Trajectory } from '@dwm/renderer';
import { type LightRig, type Matrix, type Primitive, type Scene, STUDIO } from '@dwm/renderer/scene';
import { plainMaterial, plainNode } from '../hands/hand-scene.ts';
import { poseSkeleton } from '../motion/skeleton.ts';
import type { SimulatedClip } from '../types.ts';

/** Counterclockwise from outside. */
function boxPrimitive(half: readonly [number, number, number], material: number): Primitive {
  const positions: number[] = [];
  const normals: number[] = [];
  const indices: number[] = [];
  for (let axis = 0; axis < 3; axis++)
    for (const sign of [-1, 1]) {
      const first = positions.length / 3;
      for (const [u, v] of [
        [-1, -1],
        [1, -1],
        [1, 1],
        [-1, 1],
      ]) {
        const corner = [0, 0, 0];
        corner[axis] = sign * half[axis];
        corner[(axis + 1) % 3] = sign * u * half[(axis + 1) % 3];
        corner[(axis + 2) % 3] = v * half[(axis + 2) % 3];
        positions.push(...corner);
        normals.push(...[0, 1, 2].map((i) => (i === axis ? sign : 0)));
      }
      indices.push(first, first + 1, first + 2, first, first + 2, first + 3);
    }
  return {
    positions: Float32Array.from(positions),
    normals: Float32Array.from(normals),
    indices: Uint32Array.from(indices),
    influences: 0,
    material,
  };
}

const shifted = (x: number, y: number, z: number): Matrix =>
  Float64Array.of(1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z, 0, 0, 0, 1);

export function slidingBox(frames = 5, width = 96, height = 64): SimulatedClip {
  const scene: Scene = {
    name: 'test room',
    nodes: [
      { ...plainNode('table'), mesh: 0, matrix: shifted(0, -0.05, -0.5) },
      { ...plainNode('box'), mesh: 1, matrix: shifted(-0.05, 0.04, -0.5) },
    ],
    roots: [0, 1],
    meshes: [
      { name: 'table', primitives: [boxPrimitive([0.5, 0.05, 0.4], 0)] },
      { name: 'box', primitives: [boxPrimitive([0.04, 0.04, 0.04], 1)] },
    ],
    materials: [plainMaterial('wood', [0.5, 0.4, 0.3], 0.8), plainMaterial('red', [0.6, 0.05, 0.05], 0.5)],
    images: [],
    skins: [],
    lights: [],
  };
  const lights: LightRig = STUDIO;
  const slide = (i: number) => (0.15 * i) / (frames - 1);
  const straight = { knuckle: 0.15, middle: 0.25, end: 0.15 };
  const hand = (i: number) =>
    poseSkeleton(
      { side: 'right', size: 1 },
      { position: [-0.18 + slide(i), 0.06, -0.38], rotation: [0, 0, 0, 1] },
      {
        thumb: { opposition: 0.2, middle: 0.1, end: 0.1 },
        fingers: [straight, straight, straight, straight],
      },
    );
  const intrinsics = fromFieldOfView(width, height, 1.2);
  const camera = placedCamera('opengl', [0, 0.3, 0.1], [-0.23, 0, 0, 0.973]);
  const trajectory = (dropped: number): Trajectory => ({
    fps: 8,
    frames: Array.from({ length: frames }, (_, i) => ({
      seconds: i / 8,
      intrinsics,
      camera,
      hands: { left: null, right: i === dropped ? null : hand(i) },
    })),
  });
  return {
    seed: 1,
    action: 'push-object',
    caption: 'A hand pushes a red box.',
    scene,
    lights,
    moving: [
      {
        node: 1,
        name: 'box',
        worlds: Array.from({ length: frames }, (_, i) => shifted(-0.05 + slide(i), 0.04, -0.5)),
      },
    ],
    trajectory: trajectory(1),
    acting: trajectory(-1),
    forearms: {
      right: {
        elbows: Array.from({ length: frames }, (_, i) => [-0.25 + slide(i), 0.08, -0.12] as const),
        shoulders: Array.from({ length: frames }, () => [0.15, 0.1, 0.15] as const),
        skin: [0.5, 0.28, 0.19],
        sleeve: [0.1, 0.2, 0.5],
        sleeveLength: 0.6,
      },
    },
    contacts: [],
    fixedCamera: true,
  };
}
