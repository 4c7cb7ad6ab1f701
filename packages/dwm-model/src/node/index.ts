export * from './download/index.ts';
