/**
 * A clip whole inside another picture, with black bars: Wan's way. The short sides are made to match, or, where that does
 * not fit, all of the picture; bilinear between pixel centres, without smoothing.
 */
import { type Clip, type ClipSize, roundHalfEven } from '@dwm/dwm-model';
import { type Frames, frameAt } from '@dwm/media/node';
import { bilinear } from './bilinear.ts';

/** Size of the picture inside the bars. */
export function letterboxSize(
  from: { height: number; width: number },
  to: { height: number; width: number },
): { height: number; width: number } {
  const scaled = (scale: number) => ({
    height: Math.max(1, roundHalfEven(from.height * scale)),
    width: Math.max(1, roundHalfEven(from.width * scale)),
  });
  const inner = scaled(Math.min(to.height, to.width) / Math.min(from.height, from.width));
  return inner.height <= to.height && inner.width <= to.width
    ? inner
    : scaled(Math.min(to.height / from.height, to.width / from.width));
}

/** @returns [frames, height, width, 3] in [0, 1]; the clip itself where it has the size already. */
export function letterbox(clip: Frames, { height, width }: Omit<ClipSize, 'frames'>): Clip {
  if (clip.height === height && clip.width === width) return clip;
  const inner = letterboxSize(clip, { height, width });
  const top = Math.floor((height - inner.height) / 2);
  const left = Math.floor((width - inner.width) / 2);
  const data = new Float32Array(clip.frames * height * width * 3);
  for (let f = 0; f < clip.frames; f++) {
    bilinear(frameAt(clip, f), inner.height, inner.width, (value, row, at) => {
      data[((f * height + top + row) * width + left) * 3 + at] = value / 255;
    });
  }
  return { data, frames: clip.frames, height, width };
}
