/**
 * Where every node of a scene is: its own transform, or what a caller puts in its place (a door that opens, a
 * drawer that slides), times its parents'.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { compose, type Matrix, multiply, transformPoint } from './matrix.ts';
import type { Scene } from './scene.ts';

/** Replaces properties of a node; what is left out stays. A `matrix` replaces all of them. */
export interface NodePose {
  readonly translation?: readonly number[];
  /** Quaternion x y z w. */
  readonly rotation?: readonly number[];
  readonly scale?: readonly number[];
  /** Local 4x4, row-major. */
  readonly matrix?: ArrayLike<number>;
}

/** Nodes by index or by name. */
export type ScenePose = ReadonlyMap<number | string, NodePose>;

/** @throws InvalidArgumentError when no node, or more than one, has this name. */
function findNode(scene: Scene, node: number | string): number {
  if (typeof node === 'number') {
    if (scene.nodes[node]) return node;
    throw new InvalidArgumentError(
      'node',
      `${scene.name} has nodes 0 to ${scene.nodes.length - 1}, not ${node}`,
    );
  }
  const found = scene.nodes.flatMap(({ name }, index) => (name === node ? [index] : []));
  if (found.length === 1) return found[0];
  if (found.length > 1) {
    throw new InvalidArgumentError(
      'node',
      `"${node}" names nodes ${found.join(', ')} of ${scene.name}; use an index`,
    );
  }
  const names = scene.nodes.map(({ name }) => name).filter(Boolean);
  throw new InvalidArgumentError(
    'node',
    `${scene.name} has no node "${node}"; it has ${names.slice(0, 12).join(', ') || 'no named nodes'}${names.length > 12 ? ', …' : ''}`,
  );
}

/** World matrices of all nodes, also of those outside the drawn scene (a skin may use them). */
export function worldMatrices(scene: Scene, pose: ScenePose = new Map()): Matrix[] {
  const poses = new Map([...pose].map(([node, value]) => [findNode(scene, node), value]));
  const worlds: Matrix[] = new Array(scene.nodes.length);
  const pending: number[] = [];
  for (let start = 0; start < scene.nodes.length; start++) {
    // Parents may be listed after their children, and a chain may be too long for the call stack.
    for (let node = start; node >= 0 && !worlds[node]; node = scene.nodes[node].parent) pending.push(node);
    while (pending.length > 0) {
      const index = pending.pop()!;
      const node = scene.nodes[index];
      const change = poses.get(index);
      const matrix = change ? change.matrix : node.matrix;
      const local = matrix
        ? Float64Array.from(matrix)
        : compose(
            change?.translation ?? node.translation,
            change?.rotation ?? node.rotation,
            change?.scale ?? node.scale,
          );
      worlds[index] = node.parent < 0 ? local : multiply(worlds[node.parent], local);
    }
  }
  return worlds;
}

/** Node indices that are drawn, ascending. */
export function drawnNodes(scene: Scene): number[] {
  const drawn: boolean[] = [];
  const children: number[][] = scene.nodes.map(() => []);
  scene.nodes.forEach(({ parent }, index) => {
    if (parent >= 0) children[parent].push(index);
  });
  const pending = [...scene.roots];
  while (pending.length > 0) {
    const node = pending.pop()!;
    if (scene.nodes[node].hidden) continue;
    drawn[node] = true;
    pending.push(...children[node]);
  }
  return Object.keys(drawn).map(Number);
}

/** Box around points: its lowest and highest corner. */
export interface Bounds {
  readonly min: readonly number[];
  readonly max: readonly number[];
}

/** Corner-to-corner boxes of primitives, kept because large scans take a while to walk through. */
const boxes = new WeakMap<Float32Array, Bounds>();

function localBounds(positions: Float32Array): Bounds {
  let box = boxes.get(positions);
  if (!box) {
    const min = [Infinity, Infinity, Infinity];
    const max = [-Infinity, -Infinity, -Infinity];
    for (let i = 0; i < positions.length; i++) {
      const axis = i % 3;
      if (positions[i] < min[axis]) min[axis] = positions[i];
      if (positions[i] > max[axis]) max[axis] = positions[i];
    }
    box = { min, max };
    boxes.set(positions, box);
  }
  return box;
}

/** Box around the drawn meshes, in metres; skinned ones ride on their first joint. `undefined`: nothing is drawn. */
export function worldBounds(
  scene: Scene,
  worlds: readonly Matrix[] = worldMatrices(scene),
): Bounds | undefined {
  const min = [Infinity, Infinity, Infinity];
  const max = [-Infinity, -Infinity, -Infinity];
  for (const index of drawnNodes(scene)) {
    const { mesh, skin } = scene.nodes[index];
    if (mesh < 0) continue;
    const rig = skin < 0 ? undefined : scene.skins[skin];
    const world = rig ? multiply(worlds[rig.joints[0]], rig.inverseBind[0]) : worlds[index];
    for (const { positions } of scene.meshes[mesh].primitives) {
      if (positions.length === 0) continue;
      const box = localBounds(positions);
      for (let corner = 0; corner < 8; corner++) {
        const point = transformPoint(
          world,
          [1, 2, 4].map((bit, axis) => (corner & bit ? box.max : box.min)[axis]),
        );
        for (let axis = 0; axis < 3; axis++) {
          min[axis] = Math.min(min[axis], point[axis]);
          max[axis] = Math.max(max[axis], point[axis]);
        }
      }
    }
  }
  return min[0] <= max[0] ? { min, max } : undefined;
}
