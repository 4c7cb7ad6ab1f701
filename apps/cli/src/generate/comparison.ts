/** Clips side by side as the original compares them: each at the size of the first, all as long as the shortest. */
import { axisSamples } from '@dwm/core-tensor';
import { type Frames, frameAt, type RgbImage, sideBySide } from '@dwm/media/node';

/** `torch.nn.functional.interpolate`, bilinear, of bytes: between the four pixels around, also where it shrinks. */
export function resizeBilinear(image: RgbImage, height: number, width: number): RgbImage {
  if (image.height === height && image.width === width) return image;
  const columns = axisSamples(image.width, width, 'linear');
  const data = new Uint8Array(height * width * 3);
  for (const [y, row] of axisSamples(image.height, height, 'linear').entries()) {
    const [above, below] = [row.low * image.width, row.high * image.width];
    for (const [x, column] of columns.entries()) {
      for (let c = 0; c < 3; c++) {
        const between = (line: number) =>
          column.lowWeight * image.data[(line + column.low) * 3 + c] +
          column.highWeight * image.data[(line + column.high) * 3 + c];
        data[(y * width + x) * 3 + c] = Math.round(
          row.lowWeight * between(above) + row.highWeight * between(below),
        );
      }
    }
  }
  return { data, height, width };
}

/** @param like the clip whose size and rate all get. */
export function compare(clips: readonly Frames[], { height, width, fps }: Frames): Frames {
  const frames = Math.min(...clips.map((clip) => clip.frames));
  return sideBySide(
    clips.map((clip) => {
      const data = new Uint8Array(frames * height * width * 3);
      for (let i = 0; i < frames; i++)
        data.set(resizeBilinear(frameAt(clip, i), height, width).data, i * height * width * 3);
      return { data, frames, height, width, fps };
    }),
  );
}
