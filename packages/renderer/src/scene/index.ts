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
