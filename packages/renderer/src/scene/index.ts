/** Scenes of meshes: read from glTF, put together, posed and lit. */
export { type BasisModule, decodeKtx2 } from '../mesh/ktx2.ts';
export { type ReadGltfOptions, readGltf } from '../mesh/read-gltf.ts';
export { LIMITS as GLTF_LIMITS } from '../mesh/validate.ts';
export { combineScenes, materialAfter, type PlacedScene } from './combine.ts';
export { type LightRig, type PlacedLight, STUDIO } from './lights.ts';
export type { Matrix } from './matrix.ts';
export * as matrices from './matrix.ts';
export {
  type Bounds,
  drawnNodes,
  type NodePose,
  type ScenePose,
  worldBounds,
  worldMatrices,
} from './pose.ts';
export type { EncodedImage, Material, Pixels, Primitive, PunctualLight, Scene, SceneNode } from './scene.ts';
