export * from './adamw8bit/adamw8bit.ts';
export * from './attention/attention.ts';
export {
  lowerAttentionBackward,
  lowerAttentionBiasBackward,
  lowerAttentionStatistics,
} from './attention/backward.ts';
export { lowerMatrixAttention } from './attention/matrix.ts';
export { matrixAttentionKernel } from './attention/matrix-kernel.ts';
export { cpuLanes, type DeviceCaps, type SubgroupMatrixConfig } from './caps.ts';
export * from './concat/concat.ts';
export * from './conv/adjoint-weight.ts';
export { CONV_VARIANTS, lowerConv } from './conv/conv.ts';
export {
  type ConvShape,
  type ConvSpec,
  convFlops,
  convOutputShape,
  type Padding,
  type Upsample,
} from './conv/geometry.ts';
export { lowerMatrixConv } from './conv/matrix.ts';
export * from './conv/weight-gradient.ts';
export { classOf, Decisions, kernelName } from './decisions.ts';
export * from './depthwise/depthwise.ts';
export { type DepthwiseShape, depthwiseOutputShape } from './depthwise/shapes.ts';
export * from './dtype.ts';
export * from './embedding/backward.ts';
export * from './embedding/embedding.ts';
export * from './errors.ts';
export { foldGrid, lineGrid, WORKGROUP_BUILTINS, WORKGROUP_INDEX } from './grid.ts';
export * from './group-norm/group-norm.ts';
export * from './kernel.ts';
export * from './layer-norm/backward.ts';
export * from './layer-norm/layer-norm.ts';
export { fragments } from './matmul/fragments.ts';
export { lowerHalf } from './matmul/half.ts';
export * from './matmul/matmul.ts';
export { matrixMatmul } from './matmul/matrix.ts';
export { matrixKernel } from './matmul/matrix-tile.ts';
export type { MatmulSpec, Scaling } from './matmul/spec.ts';
export {
  type Access,
  type AccessDim,
  contiguousStrides,
  elementCount,
  isDense,
  strided,
  type Window,
  windowOf,
} from './pointwise/access.ts';
export * from './pointwise/derivatives.ts';
export {
  accumulator,
  apply,
  constant,
  coordinate,
  type Expression,
  evaluate,
  operand,
  type PointwiseFn,
  substitute,
  walk,
} from './pointwise/expression.ts';
export {
  collapse,
  type FusedOperand,
  type Fusion,
  fusionReference,
  identity,
  offsetAlignment,
} from './pointwise/fusion.ts';
export * from './pointwise/pointwise.ts';
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
export { declare, load, store, storesSingly } from './storage.ts';
