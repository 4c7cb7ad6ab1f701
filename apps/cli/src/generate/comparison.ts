/** Clips side by side as the original compares them: each at the size of the first, all as long as the shortest. */
import { type Frames, type RgbImage, sideBySide } from '@dwm/media/node';
import { bilinear } from './bilinear.ts';
import { fit } from './fit.ts';

/** `torch.nn.functional.interpolate`, bilinear, of bytes. */
export function resizeBilinear(image: RgbImage, height: number, width: number): RgbImage {
  if (image.height === height && image.width === width) return image;
  const data = new Uint8Array(height * width * 3);
  bilinear(image, height, width, (value, row, at) => {
    data[row * width * 3 + at] = Math.round(value);
  });
  return { data, height, width };
}

/** @param like the clip whose size and rate all get. */
export function compare(clips: readonly Frames[], { height, width, fps }: Frames): Frames {
  const frames = Math.min(...clips.map((clip) => clip.frames));
  // Longer clips are cut, not thinned out.
  const cut = clips.map((clip) => ({ ...clip, frames }));
  return sideBySide(cut.map((clip) => fit(clip, { frames, height, width, fps }, resizeBilinear)));
}
