/**
 * The node tree from the JSON itself: glTF-Transform splits a node's matrix into translation, rotation and scale,
 * which loses shear.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { transpose } from '../scene/matrix.ts';
import type { SceneNode } from '../scene/scene.ts';
import type { AccessorReader } from './accessors.ts';
import type { MorphedMeshes } from './morph.ts';
import { type Fields, LIMITS } from './validate.ts';

/** @param lights the light of each node, or -1. */
export function readNodes(json: Fields, lights: readonly number[], meshes: MorphedMeshes): SceneNode[] {
  const nodes = json.objects('nodes');
  const defaults = json.objects('meshes').map((mesh) => mesh.list('weights') as number[]);
  const parents = new Int32Array(nodes.length).fill(-1);
  nodes.forEach((node, index) => {
    for (const child of node.list('children')) parents[child as number] = index;
  });
  return nodes.map((node, index) => {
    const mesh = node.has('mesh') ? node.integer('mesh') : -1;
    const weights = node.has('weights') ? (node.list('weights') as number[]) : (defaults[mesh] ?? []);
    return {
      name: node.string('name'),
      parent: parents[index],
      translation: node.numbers('translation', 3, [0, 0, 0]),
      rotation: node.numbers('rotation', 4, [0, 0, 0, 1]),
      scale: node.numbers('scale', 3, [1, 1, 1]),
      matrix: node.has('matrix') ? transpose(node.numbers('matrix', 16)) : undefined,
      mesh: mesh < 0 ? -1 : meshes.indexOf(mesh, weights),
      skin: node.has('skin') ? node.integer('skin') : -1,
      light: lights[index],
      hidden: node.extension('KHR_node_visibility')?.boolean('visible', true) === false || undefined,
    };
  });
}

/**
 * EXT_mesh_gpu_instancing: a node's mesh moves to children that stand for its instances, appended behind all other
 * nodes. Skinned meshes stay, as a skin leaves nothing of what a node's place does.
 * @returns the nodes whose instances are not drawn.
 */
export function placeInstances(json: Fields, nodes: SceneNode[], accessors: AccessorReader): number[] {
  const skinned: number[] = [];
  json.objects('nodes').forEach((source, index) => {
    const attributes = source.extension('EXT_mesh_gpu_instancing')?.object('attributes');
    const node = nodes[index];
    if (!attributes || attributes.keys().length === 0 || node.mesh < 0) return;
    if (node.skin >= 0) {
      skinned.push(index);
      return;
    }
    const count = accessors.at(attributes.integer(attributes.keys()[0])).getCount();
    if (nodes.length + count > LIMITS.nodes) {
      attributes.fail('', `expected at most ${LIMITS.nodes} nodes and instances in all`, count);
    }
    const read = (semantic: string, width: number, fallback: readonly number[]) => {
      if (!attributes.has(semantic)) return () => fallback;
      const accessor = accessors.at(attributes.integer(semantic));
      const values = accessors.floats(accessor, width, `${attributes.path}.${semantic}`);
      return (i: number) => Array.from(values.subarray(i * width, (i + 1) * width));
    };
    const translation = read('TRANSLATION', 3, [0, 0, 0]);
    const rotation = read('ROTATION', 4, [0, 0, 0, 1]);
    const scale = read('SCALE', 3, [1, 1, 1]);
    nodes[index] = { ...node, mesh: -1 };
    for (let i = 0; i < count; i++) {
      nodes.push({
        name: '',
        parent: index,
        translation: translation(i),
        rotation: rotation(i),
        scale: scale(i),
        mesh: node.mesh,
        skin: -1,
        light: -1,
        instance: true,
      });
    }
  });
  return skinned;
}

/** Which nodes are drawn: those of the wanted scene, of the file's own, of the first, or all. */
export function readRoots(json: Fields, wanted: number | string | undefined): number[] {
  const scenes = json.objects('scenes');
  const scene = scenes[chosenScene(json, wanted)];
  if (scene) return scene.list('nodes') as number[];
  if (wanted !== undefined) {
    json.fail('scenes', `expected the scene ${JSON.stringify(wanted)} among ${scenes.length}`, undefined);
  }
  const children = new Set(json.objects('nodes').flatMap((node) => node.list('children')));
  return json.list('nodes').flatMap((_, index) => (children.has(index) ? [] : [index]));
}

export function chosenScene(json: Fields, wanted: number | string | undefined): number {
  if (typeof wanted === 'number') return wanted;
  if (typeof wanted === 'string')
    return json.objects('scenes').findIndex((scene) => scene.string('name') === wanted);
  return json.has('scene') ? json.integer('scene') : 0;
}

/** @throws InvalidFileError when all placed meshes together go beyond `LIMITS`. */
export function checkSize(nodes: readonly SceneNode[], meshes: MorphedMeshes['list'], file: string): void {
  const sizes = meshes.map(({ primitives }) =>
    primitives.reduce((sum, { indices }) => sum + indices.length, 0),
  );
  const drawn = nodes.reduce((sum, { mesh }) => sum + (mesh < 0 ? 0 : sizes[mesh]), 0);
  if (drawn > LIMITS.drawnIndices) {
    throw new InvalidFileError(
      file,
      `places ${Math.round(drawn / 3)} triangles, expected at most ${Math.floor(LIMITS.drawnIndices / 3)}; simplify the meshes`,
    );
  }
}
