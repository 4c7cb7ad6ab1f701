export { WanClip, type WanClipConfig, wanClipPixels } from './clip.ts';
export { type LightX2VOptions, mergeLightX2V, WAN_LORA } from './lora.ts';
export * from './training/index.ts';
export * from './transformer/index.ts';
export * from './vae/index.ts';
