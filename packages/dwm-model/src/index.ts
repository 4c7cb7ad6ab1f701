export * from './schedulers/index.ts';
export * from './text-encoder/index.ts';
export * from './tokenizer/index.ts';
export * from './transformer/index.ts';
export * from './weights/config.ts';
export * from './weights/parameters.ts';
