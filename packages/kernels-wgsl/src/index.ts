/** Kernels as pure functions of an op's shapes and a device's capabilities; nothing here touches a device. */
export * from './adamw8bit/adamw8bit.ts';
export { type AttentionSpec, lowerAttention } from './attention/attention.ts';
export {
  lowerAttentionBackward,
  lowerAttentionBiasBackward,
  lowerAttentionStatistics,
} from './attention/backward.ts';
export type { DeviceCaps, SubgroupMatrixConfig } from './caps.ts';
export * from './concat/concat.ts';
export * from './conv/adjoint-weight.ts';
export { lowerConv } from './conv/conv.ts';
export {
  type ConvShape,
  type ConvSpec,
  convFlops,
  convOutputShape,
  type Padding,
  type Upsample,
} from './conv/geometry.ts';
export * from './conv/weight-gradient.ts';
export { Decisions, kernelName } from './decisions.ts';
export * from './depthwise/depthwise.ts';
export { type DepthwiseShape, depthwiseOutputShape } from './depthwise/shapes.ts';
export * from './dtype.ts';
export * from './embedding/backward.ts';
export * from './embedding/embedding.ts';
export * from './errors.ts';
export { lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from './grid.ts';
export * from './group-norm/group-norm.ts';
export {
  type Choice,
  type Dispatch,
  f32Bits,
  type HalfRows,
  type KernelTarget,
  type Lowering,
  type Operand,
  type Receipt,
  type Trial,
  type TrialTensor,
  type Tuning,
  type Work,
} from './kernel.ts';
export * from './layer-norm/backward.ts';
export * from './layer-norm/layer-norm.ts';
export { lowerMatmul } from './matmul/matmul.ts';
export type { MatmulSpec, Scaling } from './matmul/spec.ts';
export { elementCount } from './pointwise/access.ts';
export { philox4x32 } from './random/philox.ts';
export * from './random/random.ts';
export { randomReference } from './random/reference.ts';
export * from './reduce/reduce.ts';
export { denseSource } from './reduce/source.ts';
export type { ReduceSpec, Reduction } from './reduce/spec.ts';
export * from './resize/backward.ts';
export * from './resize/resize.ts';
export {
  axisSamples,
  type ResizeMode,
  resizeAdjointTable,
  resizeTable,
  type Sample,
} from './resize/table.ts';
export * from './rotary/rotary.ts';
export * from './softmax/softmax.ts';
export { storesSingly } from './storage.ts';
