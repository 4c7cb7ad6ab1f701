export * from './config.ts';
export * from './forward.ts';
export * from './load.ts';
export * from './names.ts';
export * from './parameters.ts';
export * from './positions.ts';
