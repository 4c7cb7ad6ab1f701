export * from './device/doctor.ts';
export * from './device/open.ts';
export { swiftShaderFolder } from './device/swiftshader.ts';
export * from './files/index.ts';
export * from './trace-kernels.ts';
export * from './tune-cache.ts';
