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

/** 16x8, two frames of one colour, pixels of 4:3; VP9 in WebM, in base64. */
export const WIDE_WEBM =
  'GkXfo59ChoEBQveBAULygQRC84EIQoKEd2VibUKHgQJChYECGFOAZwEAAAAAAAHOEU2bdLpNu4tTq4QVSalmU6yBoU27i1OrhBZU' +
  'rmtTrIHGTbuMU6uEElTDZ1OsggEUTbuMU6uEHFO7a1OsggG47AEAAAAAAABZAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' +
  'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAVSalmoCrXsYMPQkBNgIRM' +
  'YXZmV0GETGF2ZkSJiEBpAAAAAAAAFlSua8muAQAAAAAAAEDXgQFzxYgAAAAAAAAAAZyBACK1nIN1bmSIgQCGhVZfVlA5g4EBI+OD' +
  'hAX14QDgkbCBELqBCJqBAlSwgRVUuoEIElTDZ9Vzc9JjwItjxYgAAAAAAAAAAWfInEWjh0VOQ09ERVJEh49MYXZjIGxpYnZweC12' +
  'cDlnyKJFo4hEVVJBVElPTkSHlDAwOjAwOjAwLjIwMDAwMDAwMAAAH0O2dcXngQCjrIEAAICCSYNCAADwAHYAOCQcGAAAACAAAAYf' +
  '///TxQN////N1B////970AAAo5KBAGQAhgBAkpwAQAAAAgAAHEgcU7trkbuPs4EAt4r3gQHxggFu8IED';
