/** What the tests of this package share: a moving picture, PSNR, and where the shared clips are. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Frames } from './frames.ts';

const shared = process.env.DWM_SHARED ?? fileURLToPath(new URL('../../../../shared', import.meta.url));

/** Path of a shared clip, and whether the shared data is here at all. */
export const realworld = (path: string) => `${shared}/realworld/${path}`;
export const hasShared = existsSync(realworld('videos'));

/** A smooth moving picture, different in every frame and channel. */
export function movingGradient(frames: number, height: number, width: number, fps: number): Frames {
  const data = new Uint8Array(frames * height * width * 3);
  let o = 0;
  for (let f = 0; f < frames; f++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        data[o++] = 128 + 100 * Math.sin(x / 17 + f / 3);
        data[o++] = 128 + 100 * Math.sin(y / 13 - f / 5);
        data[o++] = 128 + 100 * Math.cos((x + y) / 29 + f / 4);
      }
    }
  }
  return { data, frames, height, width, fps };
}

/** Peak signal-to-noise ratio over all values, dB. */
export function psnr(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return 10 * Math.log10(255 ** 2 / (sum / a.length));
}

/** Mean of each channel. */
export function meanColour(data: Uint8Array): number[] {
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i++) sums[i % 3] += data[i];
  return sums.map((sum) => (sum * 3) / data.length);
}

/** Bytes as a Blob, which is how a browser hands over a file. */
export const blobOf = (bytes: Uint8Array) => new Blob([Uint8Array.from(bytes)]);
