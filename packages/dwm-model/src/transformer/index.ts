export * from './config.ts';
export * from './forward.ts';
export type { TokenGrid } from './grid.ts';
export * from './parameters.ts';
export * from './positions.ts';
export * from './published.ts';
