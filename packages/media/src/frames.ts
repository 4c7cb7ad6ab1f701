/**
 * The one in-memory form of pictures: 8-bit RGB, rows top to bottom, no padding between rows. A clip is one
 * buffer of frames, so that it can go to the GPU, to a file or to a canvas without being repacked.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';

/** A still picture, data [height, width, 3]. */
export interface RgbImage {
  data: Uint8Array;
  height: number;
  width: number;
}

/** A clip, data [frames, height, width, 3]; `fps` in frames per second. */
export interface Frames {
  data: Uint8Array;
  frames: number;
  height: number;
  width: number;
  fps: number;
}

/** Frame `index` of a clip as a view, not a copy. */
export function frameAt(clip: Frames, index: number): RgbImage {
  const bytes = clip.height * clip.width * 3;
  return {
    data: clip.data.subarray(index * bytes, (index + 1) * bytes),
    height: clip.height,
    width: clip.width,
  };
}

/** Throws InvalidArgumentError unless the sizes are positive integers and agree with the buffer's length. */
export function checkFrames(field: string, clip: Frames): void {
  const sizes = [clip.frames, clip.height, clip.width];
  if (sizes.some((size) => !Number.isInteger(size) || size < 1)) {
    throw new InvalidArgumentError(
      field,
      `frames, height and width must be positive integers, got ${sizes.join(' x ')}`,
    );
  }
  const bytes = clip.frames * clip.height * clip.width * 3;
  if (clip.data.length !== bytes) {
    throw new InvalidArgumentError(
      field,
      `data holds ${clip.data.length} bytes, expected ${bytes} for [${sizes.join(', ')}, 3] 8-bit RGB`,
    );
  }
}
