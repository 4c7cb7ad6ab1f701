/** Clips as files: mp4 by WebCodecs, GIF, and a contact sheet. Loaded when first asked for. */
import {
  contactSheet,
  encodePng,
  encodeVideo,
  type Frames,
  frameAt,
  resizeArea,
  sideBySide,
} from '@dwm/media';
import { applyPalette, GIFEncoder, quantize } from 'gifenc';

/** Small pictures are doubled until they are at least this high: players blur what they enlarge. */
const LEAST_HEIGHT = 240;

function enlarged(clip: Frames): Frames {
  const factor = Math.max(1, Math.ceil(LEAST_HEIGHT / clip.height));
  if (factor === 1) return clip;
  const [height, width] = [clip.height * factor, clip.width * factor];
  const data = new Uint8Array(clip.frames * height * width * 3);
  for (let i = 0; i < clip.frames; i++)
    data.set(resizeArea(frameAt(clip, i), height, width).data, i * height * width * 3);
  return { ...clip, data, height, width };
}

export const toMp4 = (clips: readonly Frames[]): Promise<Uint8Array> =>
  encodeVideo(enlarged(sideBySide(clips)));

export function toGif(clips: readonly Frames[]): Uint8Array {
  const clip = enlarged(sideBySide(clips));
  const gif = GIFEncoder();
  for (let i = 0; i < clip.frames; i++) {
    const { data } = frameAt(clip, i);
    const rgba = new Uint8Array(clip.width * clip.height * 4).fill(255);
    for (let p = 0; p < clip.width * clip.height; p++)
      for (let c = 0; c < 3; c++) rgba[p * 4 + c] = data[p * 3 + c];
    const palette = quantize(rgba, 256);
    gif.writeFrame(applyPalette(rgba, palette), clip.width, clip.height, {
      palette,
      delay: 1000 / clip.fps,
    });
  }
  gif.finish();
  return gif.bytes();
}

export const toSheet = (rows: readonly { label: string; frames: Frames }[]): Promise<Uint8Array> =>
  encodePng(contactSheet(rows));
