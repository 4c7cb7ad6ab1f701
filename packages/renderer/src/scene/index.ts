export { combineScenes, materialAfter, type PlacedScene } from './combine.ts';
export { defaultRig, type LightRig, type PlacedLight, STUDIO } from './lights.ts';
export type { Matrix } from './matrix.ts';
export * as matrices from './matrix.ts';
export {
  type Bounds,
  drawnNodes,
  findNode,
  type NodePose,
  type ScenePose,
  worldBounds,
  worldMatrices,
} from './pose.ts';
export type {
  EncodedImage,
  Material,
  Pixels,
  Primitive,
  PunctualLight,
  Scene,
  SceneNode,
  Skin,
  TextureUse,
} from './scene.ts';
