export * from './caps.ts';
