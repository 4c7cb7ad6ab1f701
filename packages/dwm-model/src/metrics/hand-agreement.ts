/**
 * Hand agreement: is the generated hand where the hand render is? Intersection over union of two sets of pixels: those
 * that changed against the static video and have a skin's colour, and those that the hand render covers. The render
 * ends at the wrist and a truth shows an arm, so even the truth stays below 1; its own value is the one to compare
 * with.
 */
import type { Video } from '../video/video.ts';
import { differs } from './region.ts';

/** 8-bit brightness from which a pixel of the hand render is a hand: black ground, and what a codec makes of it. */
const HAND_THRESHOLD = 40;

/** Skin by chrominance, whatever its lightness: the box of Chai and Ngan (1999) in BT.601 Cb and Cr. */
function isSkin(r: number, g: number, b: number): boolean {
  const cb = 128 - 0.168736 * r - 0.331264 * g + 0.5 * b;
  const cr = 128 + 0.5 * r - 0.418688 * g - 0.081312 * b;
  return cb >= 77 && cb <= 127 && cr >= 133 && cr <= 173;
}

/** Pixels [frames, height, width] that the hand render covers. */
export function handPixels({ data }: Video): Uint8Array {
  const out = new Uint8Array(data.length / 3);
  for (let p = 0; p < out.length; p++)
    out[p] = Math.max(data[3 * p], data[3 * p + 1], data[3 * p + 2]) > HAND_THRESHOLD ? 1 : 0;
  return out;
}

/**
 * @returns IoU over all frames together and of every frame, undefined where neither has a pixel.
 */
export function handAgreement(
  prediction: Video,
  staticClip: Video,
  hands: Video,
): { iou: number | undefined; frames: (number | undefined)[] } {
  const changed = differs(prediction, staticClip);
  const rendered = handPixels(hands);
  const pixels = staticClip.height * staticClip.width;
  let [both, either] = [0, 0];
  const frames = Array.from({ length: staticClip.frames }, (_, f) => {
    let [and, or] = [0, 0];
    for (let p = f * pixels; p < (f + 1) * pixels; p++) {
      const [r, g, b] = [prediction.data[3 * p], prediction.data[3 * p + 1], prediction.data[3 * p + 2]];
      const skin = changed[p] === 1 && isSkin(r, g, b);
      if (skin && rendered[p] === 1) and++;
      if (skin || rendered[p] === 1) or++;
    }
    both += and;
    either += or;
    return or > 0 ? and / or : undefined;
  });
  return { iou: either > 0 ? both / either : undefined, frames };
}
