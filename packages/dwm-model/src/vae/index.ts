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
export type { ConvCaches, Passage, Stretch } from './layers.ts';
export { vaeParameters } from './parameters.ts';
export { type LatentStatistics, Posterior } from './posterior.ts';
export { LATENT_FRAMES, SAMPLE_FRAMES, stretches } from './stretches.ts';
export type { Tiling } from './tiling.ts';
export { CogVideoXVae } from './vae.ts';
export { decodeWhole, encodeWhole } from './whole-clip.ts';
