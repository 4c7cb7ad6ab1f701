export type { Clip, ClipShape } from './clip.ts';
export {
  type LatentSize,
  latentSize,
  parseVaeConfig,
  readVaeConfig,
  spatialRatio,
  type VaeConfig,
} from './config.ts';
export { decodeFrames } from './decoder.ts';
export { encodeFrames } from './encoder.ts';
export type { ConvCaches, Stretch } from './layers.ts';
export { vaeParameters } from './parameters.ts';
export { type Posterior, samplePosterior } from './posterior.ts';
export { LATENT_FRAMES, SAMPLE_FRAMES, stretches } from './stretches.ts';
export type { Tiling } from './tiling.ts';
export { CogVideoXVae, type VaeEstimate, type VaeOptions, type VaeRunOptions } from './vae.ts';
export { decodeWhole, encodeWhole } from './whole-clip.ts';
