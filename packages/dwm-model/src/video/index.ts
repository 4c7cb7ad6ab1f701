export { atSize } from './at-size.ts';
export { decodeVideo, encodeVideo, type FileLatents } from './codec.ts';
export { type Fit, toBytes, toDevice } from './transfer.ts';
export type { DeviceVideo, Latents, Video, VideoSize } from './video.ts';
