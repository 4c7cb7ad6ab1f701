/**
 * What models are made of, for who writes or adds one: networks and their configurations, parameters and how they are
 * read, codecs, text encoders, schedulers; and what a family of models tells the rest.
 */
export {
  addFamily,
  type DenoisingNetwork,
  type DistilledLora,
  type NetworkOptions,
  type Riflex,
  type TextReader,
} from './families/index.ts';
export {
  fromConfig,
  type Schedule,
  type ScheduleOptions,
  type Scheduler,
  type SchedulerName,
} from './schedulers/index.ts';
export { readT5Config, type T5Config, umt5ConfigOf } from './text-encoder/config.ts';
export { type T5EncodeOptions, T5Encoder } from './text-encoder/t5-encoder.ts';
export * from './tokenizer/t5-tokenizer.ts';
export { type AdamWOptions, type AdamWState, adamw, adamwScalars } from './training/adamw.ts';
export { PackedLayout } from './training/packed.ts';
export {
  type PublishedModel,
  publishedTransformer,
  readTransformerConfig,
  type TransformerConfig,
  transformer,
  transformerParameters,
} from './transformer/index.ts';
export {
  ClipCodec,
  CogVideoXVae,
  type LatentSize,
  latentSize,
  readVaeConfig,
  type VaeConfig,
  type VaeEstimate,
} from './vae/index.ts';
export { readWanConfig, type WanConfig, wanParameters } from './wan/index.ts';
export { readJson } from './weights/config.ts';
export { type MergeOptions, mergeLora } from './weights/merge-lora.ts';
export { loadParameters, type ParameterSpecs, Parameters } from './weights/parameters.ts';
