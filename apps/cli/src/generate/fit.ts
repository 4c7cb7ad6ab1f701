/** A clip brought to the size and length of another. */
import { type Frames, frameAt, type RgbImage, resizeArea } from '@dwm/media/node';

/** `clip` with the frame count and size of `like`: frames by place, pixels by area unless told otherwise. */
export function fit(
  clip: Frames,
  like: Omit<Frames, 'data'>,
  resize: (image: RgbImage, height: number, width: number) => RgbImage = resizeArea,
): Frames {
  const { frames, height, width, fps } = like;
  const data = new Uint8Array(frames * height * width * 3);
  for (let i = 0; i < frames; i++) {
    const source = Math.min(clip.frames - 1, Math.floor((i * clip.frames) / frames));
    data.set(resize(frameAt(clip, source), height, width).data, i * height * width * 3);
  }
  return { data, frames, height, width, fps };
}
