export * from '../index.ts';
export {
  codecs,
  decodeFrames,
  encodeVideo,
  readVideo,
  videoInfo,
  writePng,
  writeVideo,
} from './files.ts';
export { frameFiles } from './frame-folder.ts';
export { decodeRgba, type RgbaImage, readImage, readPng } from './images.ts';
export { installWebCodecs } from './webcodecs.ts';
