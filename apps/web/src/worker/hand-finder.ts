/** Hands in a webcam's pictures, by the networks of `@dwm/hands`. Loaded when first asked for. */
import { type Device, Turns } from '@dwm/core-tensor';
import { HandTracker, type Picture } from '@dwm/hands';
import type { Hands } from '@dwm/renderer';
import { HandFitter } from '../tracking/hand-fitter.ts';
import { fetchHandWeights } from '../tracking/hand-weights.ts';

export class HandFinder {
  readonly #tracker: HandTracker;
  readonly #fitter = new HandFitter();
  readonly #context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!;
  readonly #turns = new Turns();

  private constructor(tracker: HandTracker) {
    this.#tracker = tracker;
  }

  static async open(device: Device, signal: AbortSignal): Promise<HandFinder> {
    const weights = await fetchHandWeights(signal);
    const tracker = await HandTracker.create(device, weights);
    if (signal.aborted) tracker.destroy();
    signal.throwIfAborted();
    return new HandFinder(tracker);
  }

  /** The hands in the next picture, before a camera at the origin, OpenGL axes. The picture is used up. */
  next(bitmap: ImageBitmap): Promise<Hands> {
    const picture = this.#pixelsOf(bitmap);
    return this.#turns.take(async () => this.#fitter.fit(await this.#tracker.next(picture), picture));
  }

  destroy(): Promise<void> {
    return this.#turns.take(async () => this.#tracker.destroy());
  }

  #pixelsOf(bitmap: ImageBitmap): Picture {
    const { width, height } = bitmap;
    Object.assign(this.#context.canvas, { width, height });
    this.#context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data: rgba } = this.#context.getImageData(0, 0, width, height);
    const data = new Uint8Array(width * height * 3);
    for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) data[3 * i + c] = rgba[4 * i + c];
    return { data, width, height };
  }
}
