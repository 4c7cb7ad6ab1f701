export * from './causal.ts';
export * from './causal-memory.ts';
export * from './config.ts';
export * from './forward.ts';
export * from './inputs.ts';
export * from './parameters.ts';
export * from './positions.ts';
export * from './published.ts';
