export * from '../index.ts';
export {
  codecs,
  decodeFrames,
  encodeVideo,
  readPng,
  readVideo,
  videoInfo,
  writePng,
  writeVideo,
} from './files.ts';
export { installWebCodecs } from './webcodecs.ts';
