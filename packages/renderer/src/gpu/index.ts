export { ClipReadback } from './clip-readback.ts';
export { type FrameKind, frameTensor, packFrame, readColor, readFrame } from './frame-tensors.ts';
export { type DrawOptions, MeshRenderer } from './mesh-renderer.ts';
export {
  COLOR_FORMAT,
  COLOR_VIEW_FORMAT,
  DEPTH_FORMAT,
  type Measures,
  RenderTarget,
  type RenderTargetOptions,
} from './render-target.ts';
export { SceneModel, type SceneModelOptions } from './scene-model.ts';
export { type DecodeImage, decodeWithBrowser } from './texture-cache.ts';
export { clipMatrix, DEFAULT_NEAR, type View } from './view.ts';
