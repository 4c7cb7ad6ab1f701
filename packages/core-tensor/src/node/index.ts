export * from './device/doctor.ts';
export {
  type AdapterName,
  adapterRequests,
  describeAdapter,
  type NodeOpenOptions,
  openNodeDevice,
} from './device/open.ts';
export { swiftShaderFolder } from './device/swiftshader.ts';
export * from './files/index.ts';
export * from './tune-cache.ts';
