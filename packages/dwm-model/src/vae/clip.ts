/** Boxes of clips [batch, channels, frames, height, width] in host memory. */

/** [batch, channels, frames, height, width] */
export type ClipShape = readonly [number, number, number, number, number];

export interface Clip {
  readonly shape: ClipShape;
  readonly data: Float32Array;
}

/** Part of a clip: all of its batch and channels, some frames, rows and columns. */
export interface Box {
  readonly frame: number;
  readonly frames: number;
  readonly top: number;
  readonly height: number;
  readonly left: number;
  readonly width: number;
}

export const clipSize = (shape: ClipShape): number => shape.reduce((a, b) => a * b, 1);

export const emptyClip = (shape: ClipShape): Clip => ({ shape, data: new Float32Array(clipSize(shape)) });

/** Copies `box` of `from` to the place in `to` where `at` begins. */
export function copyBox(
  from: Clip,
  box: Box,
  to: Clip,
  at: { frame: number; top: number; left: number },
): void {
  const [batch, channels, frames, height, width] = from.shape;
  const [, , toFrames, toHeight, toWidth] = to.shape;
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let t = 0; t < box.frames; t++) {
      for (let y = 0; y < box.height; y++) {
        const read = ((plane * frames + box.frame + t) * height + box.top + y) * width + box.left;
        const write = ((plane * toFrames + at.frame + t) * toHeight + at.top + y) * toWidth + at.left;
        to.data.set(from.data.subarray(read, read + box.width), write);
      }
    }
  }
}
