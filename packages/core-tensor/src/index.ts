/// <reference types="@webgpu/types" preserve="true" />
export {
  axisSamples,
  bytesOf,
  type DType,
  elementCount,
  isPacked,
  type KernelTarget,
  philox4x32,
  randomReference,
} from '@dwm/kernels-wgsl';
export * from './device/browser.ts';
export type { DeviceCaps } from './device/caps.ts';
export {
  Device,
  DeviceBuffer,
  type DeviceMemory,
  type DeviceTraffic,
  type OpenOptions,
} from './device/device.ts';
export * from './device/errors.ts';
export * from './device-tensor.ts';
export * from './errors.ts';
export { checkpoint } from './grad/checkpoint.ts';
export { grad, valueAndGrad } from './grad/grad.ts';
export * from './ops/adamw8bit.ts';
export * from './ops/attention.ts';
export { concat, pad, split } from './ops/concat.ts';
export * from './ops/conv.ts';
export * from './ops/depthwise.ts';
export * from './ops/embedding.ts';
export { type GroupNormOptions, groupNorm } from './ops/group-norm.ts';
export * from './ops/layer-norm.ts';
export * from './ops/matmul.ts';
export {
  abs,
  add,
  cast,
  div,
  exp,
  floor,
  gelu,
  geluTanh,
  less,
  log,
  maximum,
  minimum,
  mul,
  neg,
  type Operand,
  rsqrt,
  sigmoid,
  silu,
  splitAt,
  sqrt,
  sub,
  tanh,
  where,
} from './ops/pointwise.ts';
export * from './ops/random.ts';
export * from './ops/reduce.ts';
export * from './ops/resize.ts';
export * from './ops/rotary.ts';
export * from './ops/softmax.ts';
export * from './ops/views.ts';
export { onKernelsCompiled } from './pipelines.ts';
export {
  type Plan,
  type PlanMemory,
  type PlannedDispatch,
  PlanTooLargeError,
  planProgram,
} from './plan/plan.ts';
export { type KernelWork, workByKernel } from './plan/work-by-kernel.ts';
export * from './program.ts';
export { type HostData, spec, type TensorSpec } from './spec.ts';
export {
  type Cost,
  constant,
  input,
  type Precision,
  parameter,
  type Target,
  Tensor,
} from './tensor.ts';
export { Turns } from './turns.ts';
