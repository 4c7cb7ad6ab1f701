export * from './camera/index.ts';
export * from './gpu/index.ts';
export * from './hands/index.ts';
export * from './mano/index.ts';
export * from './mesh/index.ts';
export * from './scene/index.ts';
export * from './splats/index.ts';
export * from './trajectory/index.ts';
