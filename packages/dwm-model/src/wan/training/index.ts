export * from './batch.ts';
export * from './export.ts';
export * from './objective.ts';
export * from './trainable.ts';
