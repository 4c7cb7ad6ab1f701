/**
 * The hand as a scene that `RiggedHand` and `SceneModel` pose alike: one node a WebXR joint, all of them roots, so a
 * joint's world matrix is its node's own, and one skinned mesh.
 */
import { type HandSide, WEBXR_JOINTS } from '@dwm/renderer';
import type { Material, Matrix, Scene, SceneNode } from '@dwm/renderer/scene';
import { handSurface, INFLUENCES } from './hand-surface.ts';
import { mirrored, REST_JOINTS } from './rest-pose.ts';

export const plainNode = (name: string): SceneNode => ({
  name,
  parent: -1,
  translation: [0, 0, 0],
  rotation: [0, 0, 0, 1],
  scale: [1, 1, 1],
  mesh: -1,
  skin: -1,
  light: -1,
});

/** Dull and opaque; `color` linear RGB. */
export const plainMaterial = (name: string, color: readonly number[], roughness: number): Material => ({
  name,
  baseColor: [...color, 1],
  emissive: [0, 0, 0],
  metallic: 0,
  roughness,
  normalScale: 1,
  occlusionStrength: 1,
  alphaMode: 'opaque',
  alphaCutoff: 0.5,
  doubleSided: false,
  unlit: false,
});

/** World matrices of a side's 25 joints at rest. */
export function restJoints(side: HandSide): readonly Matrix[] {
  return side === 'left' ? REST_JOINTS.map(mirrored) : REST_JOINTS;
}

/** @param skin linear RGB. */
export function handScene(side: HandSide, skin: readonly number[] = [0.5, 0.28, 0.19]): Scene {
  const surface = handSurface();
  const left = side === 'left';
  const flip = (data: Float32Array) => data.map((value, i) => (i % 3 === 0 ? -value : value));
  const rest = restJoints(side);
  return {
    name: `${side} hand`,
    nodes: [
      ...rest.map((matrix, joint) => ({ ...plainNode(WEBXR_JOINTS[joint]), matrix })),
      { ...plainNode(`${side} hand`), mesh: 0, skin: 0 },
    ],
    roots: [...rest.keys(), rest.length],
    meshes: [
      {
        name: 'hand',
        primitives: [
          {
            positions: left ? flip(surface.positions) : surface.positions,
            normals: left ? flip(surface.normals) : surface.normals,
            colors: surface.colors,
            joints: surface.joints,
            weights: surface.weights,
            influences: INFLUENCES,
            indices: left
              ? surface.indices.map((_, i, all) => all[i % 3 === 0 ? i : i % 3 === 1 ? i + 1 : i - 1])
              : surface.indices,
            material: 0,
          },
        ],
      },
    ],
    materials: [plainMaterial('skin', skin, 0.6)],
    images: [],
    skins: [{ joints: [...rest.keys()], inverseBind: rest.map(invertRigid) }],
    lights: [],
  };
}

function invertRigid(m: Matrix): Matrix {
  const row = (i: number) => [m[i], m[4 + i], m[8 + i]];
  const shift = (r: readonly number[]) => -(r[0] * m[3] + r[1] * m[7] + r[2] * m[11]);
  return Float64Array.of(...[0, 1, 2].flatMap((i) => [...row(i), shift(row(i))]), ...[0, 0, 0, 1]);
}
