export {
  ClipCodec,
  type CodecShape,
  type VaeEstimate,
  type VaeOptions,
  type VaeRunOptions,
} from './clip-codec.ts';
export {
  type LatentSize,
  latentSize,
  latentSizeOf,
  parseVaeConfig,
  readVaeConfig,
  spatialRatio,
  type VaeConfig,
} from './config.ts';
export { decodeFrames } from './decoder.ts';
export { encodeFrames } from './encoder.ts';
export type { ConvCaches, Passage } from './layers.ts';
export { vaeParameters } from './parameters.ts';
export { Posterior } from './posterior.ts';
export { SAMPLE_FRAMES } from './stretches.ts';
export { CogVideoXVae } from './vae.ts';
export { decodeWhole, encodeWhole } from './whole-clip.ts';
