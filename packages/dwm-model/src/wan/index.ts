export * from './transformer/index.ts';
