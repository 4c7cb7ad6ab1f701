export { type ClipSettings, clipTrajectory } from './clip-trajectory.ts';
export { type CameraFit, fitCamera } from './fit-camera.ts';
export { placeScene, type ScenePlacement } from './place-scene.ts';
export { type HandModels, PosedHands } from './posed-hands.ts';
export {
  type RenderedClip,
  type RenderOptions,
  renderHandClip,
  renderSceneClip,
  type SceneRenderOptions,
} from './render-clips.ts';
export { AXES, guessPlacement, insideSolid, type SceneGuess, type SignedAxis } from './scene-check.ts';
export { type Picture, type SceneParts, StaticScene } from './static-scene.ts';
