export * from './download/index.ts';
export * from './training/index.ts';
