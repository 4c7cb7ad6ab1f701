/**
 * A clip whole inside another picture, with black bars: Wan's way. The short sides are made to match, or, where that does
 * not fit, all of the picture; bilinear between pixel centres, without smoothing.
 */
import { axisSamples } from '@dwm/core-tensor';
import type { Clip, ClipSize } from '@dwm/dwm-model';
import type { Frames } from '@dwm/media/node';

/** Python's rounding, halves to even. */
function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

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
  const rows = axisSamples(clip.height, inner.height, 'linear');
  const columns = axisSamples(clip.width, inner.width, 'linear');
  const data = new Float32Array(clip.frames * height * width * 3);
  for (let f = 0; f < clip.frames; f++) {
    const from = f * clip.height;
    for (const [y, row] of rows.entries()) {
      const [low, high] = [(from + row.low) * clip.width, (from + row.high) * clip.width];
      let at = ((f * height + top + y) * width + left) * 3;
      for (const column of columns) {
        for (let c = 0; c < 3; c++) {
          const pixel = (line: number, x: number) => clip.data[(line + x) * 3 + c];
          const along = (line: number) =>
            column.lowWeight * pixel(line, column.low) + column.highWeight * pixel(line, column.high);
          data[at++] = (row.lowWeight * along(low) + row.highWeight * along(high)) / 255;
        }
      }
    }
  }
  return { data, frames: clip.frames, height, width };
}
