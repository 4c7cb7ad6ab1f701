export * from './download/index.ts';
export * from './lpips.ts';
export * from './quantize/quantize-model.ts';
export * from './training/index.ts';
