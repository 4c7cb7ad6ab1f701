export * from './clip/index.ts';
export * from './families/index.ts';
export * from './live/index.ts';
export * from './memory/index.ts';
export * from './metrics/index.ts';
export * from './pipeline/index.ts';
export * from './planning/index.ts';
export * from './schedulers/index.ts';
export * from './text-encoder/index.ts';
export * from './tokenizer/index.ts';
export * from './training/adamw.ts';
export { PackedLayout } from './training/packed.ts';
export {
  type PublishedModel,
  publishedTransformer,
  readTransformerConfig,
  type TransformerConfig,
  type TransformerInputs,
  transformer,
  transformerParameters,
} from './transformer/index.ts';
export {
  type ClipCodec,
  CogVideoXVae,
  type LatentSize,
  latentSize,
  readVaeConfig,
  spatialRatio,
  type VaeConfig,
  type VaeEstimate,
  vaeParameters,
} from './vae/index.ts';
export * from './video/index.ts';
export {
  type LightX2VOptions,
  loadWanTransformer,
  mergeLightX2V,
  openWanVae,
  parseWanVaeConfig,
  readWanConfig,
  WanClip,
  type WanClipConfig,
  type WanConfig,
  type WanForwardOptions,
  type WanInputs,
  WanVae,
  type WanVaeConfig,
  wanParameters,
  wanTransformer,
  wanVaeConfigOf,
  wanVaeParameters,
} from './wan/index.ts';
export { readJson } from './weights/config.ts';
export * from './weights/lora.ts';
export {
  convolution,
  loadParameters,
  type ParameterSpec,
  type ParameterSpecs,
  Parameters,
} from './weights/parameters.ts';
export type { QuantizedDtype } from './weights/quantized.ts';
