export { atSize } from './at-size.ts';
export { decodeVideo, encodeVideo, type FileLatents } from './codec.ts';
export { displayed, type Fit, letterboxSize, toBytes, toDevice } from './transfer.ts';
export { checkVideo, type DeviceVideo, type Latents, type Video, type VideoSize } from './video.ts';
