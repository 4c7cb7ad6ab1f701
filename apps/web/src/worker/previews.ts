/**
 * What a run looks like after each step: its clean latents decoded beside the run. A preview
 * that is not ready when the next one comes is the one that is shown; the newer is left out.
 */
import type { DeviceTensor } from '@dwm/core-tensor';
import type { ClipCodec, DwmPipeline } from '@dwm/dwm-model';
import type { Clip, Settings } from './protocol.ts';

/** Above this many latent pixels a preview is one frame, the middle one. */
const WHOLE_CLIP = 2048;

/** The latent frames of a run that its previews show, and the shape that they are decoded in. */
export function previewed(vae: ClipCodec, size: Pick<Settings, 'width' | 'height' | 'frames'>) {
  const { channels, frames, height, width } = vae.latentSize(size);
  const [first, count] = frames * height * width <= WHOLE_CLIP ? [0, frames] : [frames >> 1, 1];
  return { first, shape: [1, channels, count, height, width] };
}

export class Previews {
  readonly #vae: ClipCodec;
  readonly #settings: Settings;
  readonly #show: (clip: Clip) => void;
  readonly #end = new AbortController();
  #busy: Promise<void> | undefined;

  constructor(pipeline: DwmPipeline, settings: Settings, show: (clip: Clip) => void) {
    this.#vae = pipeline.vae;
    this.#settings = settings;
    this.#show = show;
  }

  /** @param latents [1, F', channels, h, w], scaled as the run has them; read before this returns. */
  offer(latents: DeviceTensor): void {
    if (this.#busy || this.#end.signal.aborted) return;
    this.#busy = this.#decode(latents.clone())
      // What was given up; and a lost device or a full one is for the run itself to say.
      .catch(() => {})
      .finally(() => {
        this.#busy = undefined;
      });
  }

  /** Gives up what is under way, and waits until nothing of it is left. */
  async end(): Promise<void> {
    this.#end.abort();
    await this.#busy;
  }

  async #decode(kept: DeviceTensor): Promise<void> {
    const latents = (await kept.read().finally(() => kept.destroy())) as Float32Array;
    const { width, height, frames, fps } = this.#settings;
    const { first, shape } = previewed(this.#vae, this.#settings);
    const [, channels, count, h, w] = shape;
    const unscaled = new Float32Array(channels * count * h * w);
    for (let c = 0; c < channels; c++) {
      for (let f = 0; f < count; f++) {
        const from = ((first + f) * channels + c) * h * w;
        for (let i = 0; i < h * w; i++)
          unscaled[(c * count + f) * h * w + i] = latents[from + i] / this.#vae.shape.scalingFactor;
      }
    }
    const { signal } = this.#end;
    const decoded = await this.#vae.decode(unscaled, shape, { tiling: true, signal });
    signal.throwIfAborted();
    const shown = decoded.shape[2];
    this.#show({
      data: toBytes(decoded.data, shown * height * width),
      frames: shown,
      height,
      width,
      fps: shown === 1 ? fps / frames : fps,
    });
  }
}

/** [3, pixels] in [-1, 1] to displayed RGB. */
function toBytes(planes: Float32Array, pixels: number): Uint8Array {
  const rgb = new Uint8ClampedArray(pixels * 3);
  for (let c = 0; c < 3; c++)
    for (let i = 0; i < pixels; i++) rgb[i * 3 + c] = (planes[c * pixels + i] / 2 + 0.5) * 255;
  return new Uint8Array(rgb.buffer);
}
