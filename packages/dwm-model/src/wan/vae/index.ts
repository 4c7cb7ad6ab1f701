export {
  parseWanVaeConfig,
  type WanVaeConfig,
  wanSpatialRatio,
  wanTemporalRatio,
  wanVaeConfigOf,
} from './config.ts';
export { diffusersVaeName } from './names.ts';
export { wanVaeParameters } from './parameters.ts';
export { openWanVae, WanVae } from './vae.ts';
