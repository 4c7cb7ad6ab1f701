export * from './config.ts';
export * from './forward.ts';
export * from './parameters.ts';
export * from './positions.ts';
export * from './published.ts';
