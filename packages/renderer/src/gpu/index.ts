export { ClipReadback } from './clip-readback.ts';
export { type FrameKind, frameTensor, packFrame, readColor, readFrame } from './frame-tensors.ts';
export { type DrawOptions, MeshRenderer } from './mesh-renderer.ts';
export { type Measures, RenderTarget, type RenderTargetOptions } from './render-target.ts';
export { SceneModel, type SceneModelOptions } from './scene-model.ts';
export { type DecodeImage, decodeWithBrowser } from './texture-cache.ts';
export type { View } from './view.ts';
