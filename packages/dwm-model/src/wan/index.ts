export * from './transformer/index.ts';
export * from './vae/index.ts';
