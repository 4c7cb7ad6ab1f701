export { wanCLIPPixels } from './image-encoder.ts';
export { WAN_LORA } from './lora.ts';
export * from './training/index.ts';
export * from './transformer/index.ts';
export * from './vae/index.ts';
