export type { BlockCost } from './engine.ts';
export * from './stream.ts';
