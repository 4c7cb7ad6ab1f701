export * from './training/index.ts';
export * from './transformer/index.ts';
export * from './vae/index.ts';
