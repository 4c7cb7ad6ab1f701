export { type CodecReport, codecs } from './codecs.ts';
export { decodeFrames, readVideo, type VideoInput, videoInfo } from './decode.ts';
export { type EncodeOptions, encodeVideo } from './encode.ts';
export {
  type ClipTime,
  clipIndices,
  type FrameIndices,
  firstFrames,
  framesInTime,
  indicesAtRate,
  pixelRemark,
  type VideoInfo,
} from './frame-choice.ts';
export { type Frames, frameAt, type RgbImage } from './frames.ts';
export { checkImageSize, type ImageSize, MAX_PIXELS } from './image-size.ts';
export { encodeGrey16Png, encodePng } from './png.ts';
export { resizeSmooth } from './resize.ts';
export { contactSheet, resizeArea, sideBySide } from './sheet.ts';
export type { DecodedFrame, OpenVideo, VideoSource } from './video-file.ts';
