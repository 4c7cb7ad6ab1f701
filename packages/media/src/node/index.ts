export * from '../index.ts';
export { writeAtomically } from './atomic.ts';
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
