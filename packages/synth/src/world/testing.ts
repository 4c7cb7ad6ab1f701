/** Things as a user would make them. */
import type { Primitive, Scene } from '@dwm/renderer/scene';
import { plainMaterial, plainNode } from '../hands/hand-scene.ts';
import { MeshBuilder } from './mesh.ts';

/** A scene of one node, moved and scaled by `scale`, which may mirror it. */
export function thing(draw: (mesh: MeshBuilder) => void, scale: readonly number[] = [1, 1, 1]): Scene {
  const mesh = new MeshBuilder();
  draw(mesh);
  return {
    name: 'parts/thing.glb',
    nodes: [{ ...plainNode('thing'), mesh: 0, translation: [3, -2, 1], scale }],
    roots: [0],
    meshes: [{ name: 'thing', primitives: [mesh.primitive(0)] }],
    materials: [plainMaterial('thing', [0.8, 0.1, 0.1], 0.5)],
    images: [],
    skins: [],
    lights: [],
  };
}

/** The smallest .glb that holds a mesh. */
export function glbOf({ positions, normals, indices }: Primitive): Uint8Array {
  const arrays = [positions, normals!, indices];
  const bin = Buffer.concat(arrays.map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength)));
  const extreme = (pick: (...values: number[]) => number) =>
    [0, 1, 2].map((axis) => pick(...positions.filter((_, i) => i % 3 === axis)));
  let byteOffset = 0;
  const bufferViews = arrays.map(({ byteLength }) => {
    byteOffset += byteLength;
    return { buffer: 0, byteOffset: byteOffset - byteLength, byteLength };
  });
  const vectors = { componentType: 5126, count: positions.length / 3, type: 'VEC3' };
  const json = {
    asset: { version: '2.0' },
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes: [{ mesh: 0 }],
    meshes: [{ primitives: [{ attributes: { POSITION: 0, NORMAL: 1 }, indices: 2 }] }],
    accessors: [
      { bufferView: 0, ...vectors, min: extreme(Math.min), max: extreme(Math.max) },
      { bufferView: 1, ...vectors },
      { bufferView: 2, componentType: 5125, count: indices.length, type: 'SCALAR' },
    ],
    bufferViews,
    buffers: [{ byteLength: bin.byteLength }],
  };
  const text = JSON.stringify(json);
  const chunks = [
    { type: 0x4e4f534a, bytes: Buffer.from(text.padEnd(4 * Math.ceil(text.length / 4))) },
    { type: 0x004e4942, bytes: bin },
  ];
  const words = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
  const body = chunks.flatMap(({ type, bytes }) => [words(bytes.byteLength, type), bytes]);
  const length = body.reduce((sum, { byteLength }) => sum + byteLength, 12);
  return Buffer.concat([words(0x46546c67, 2, length), ...body]);
}
