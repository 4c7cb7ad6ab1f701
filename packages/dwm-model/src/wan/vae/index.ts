export { parseWanVaeConfig, wanVaeConfigOf } from './config.ts';
export { diffusersVaeName } from './names.ts';
export { wanVaeParameters } from './parameters.ts';
export { WanVae } from './vae.ts';
