import type { Video } from '../video/video.ts';
/**
 * Where something happened: pixels at which the interaction differs from the static scene, and what is near them.
 * A model that copies the static video is perfect everywhere else, so the two parts are scored apart.
 */

/** 8-bit steps by which a channel has to differ. */
export const CHANGE_THRESHOLD = 8;
/** Pixels around a change that belong to it. */
export const CHANGE_DILATION = 4;

/** 1 where any channel differs by more than `threshold`: [frames, height, width]. */
export function differs(a: Video, b: Video, threshold = CHANGE_THRESHOLD): Uint8Array {
  const out = new Uint8Array(a.data.length / 3);
  for (let p = 0; p < out.length; p++) {
    for (let i = 3 * p; i < 3 * p + 3; i++) if (Math.abs(a.data[i] - b.data[i]) > threshold) out[p] = 1;
  }
  return out;
}

/** Every pixel within `radius` pixels, in rows and in columns, of a set one; each frame on its own. */
export function dilate(mask: Uint8Array, height: number, width: number, radius: number): Uint8Array {
  const spread = (from: Uint8Array, length: number, stride: number) => {
    const out = new Uint8Array(from.length);
    for (let i = 0; i < from.length; i++) {
      if (from[i] === 0) continue;
      const at = Math.floor(i / stride) % length;
      const [low, high] = [Math.max(-radius, -at), Math.min(radius, length - 1 - at)];
      for (let k = low; k <= high; k++) out[i + k * stride] = 1;
    }
    return out;
  };
  return spread(spread(mask, width, 1), height, width);
}

/** The changed region of a clip, [frames, height, width] of 0 and 1. */
export const changedRegion = (truth: Video, staticClip: Video): Uint8Array =>
  dilate(differs(truth, staticClip), truth.height, truth.width, CHANGE_DILATION);
