export * from './device/browser.ts';
export type { DeviceCaps, LimitOverrides, SubgroupMatrixConfig } from './device/caps.ts';
export * from './device/device.ts';
export * from './device/errors.ts';
export * from './errors.ts';
export * from './safetensors/index.ts';
