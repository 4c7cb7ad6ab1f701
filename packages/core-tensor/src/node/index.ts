export * from './device/doctor.ts';
export * from './device/open.ts';
export { swiftShaderFolder } from './device/swiftshader.ts';
export * from './files/index.ts';
