export * from './device/open.ts';
export { swiftShaderFolder } from './device/swiftshader.ts';
