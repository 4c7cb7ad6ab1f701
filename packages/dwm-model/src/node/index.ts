export * from './download/index.ts';
export * from './lpips.ts';
export * from './training/index.ts';
