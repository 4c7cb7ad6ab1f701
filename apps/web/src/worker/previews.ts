/**
 * What a run looks like after each step: its clean latents decoded beside the run. A preview
 * that is not ready when the next one comes is the one that is shown; the newer is left out.
 */
import { DeviceTensor, spec } from '@dwm/core-tensor';
import { type DwmPipeline, decodeVideo, type Latents, toBytes } from '@dwm/dwm-model';
import type { ClipCodec } from '@dwm/dwm-model/parts';
import type { Frames } from '@dwm/media';
import type { Settings } from './protocol.ts';

/** Above this many latent pixels a preview is one frame, the middle one. */
const WHOLE_CLIP = 2048;

/** The latents of a run that its previews show: from which latent frame on, and their size. */
export function previewed(vae: ClipCodec, size: Pick<Settings, 'width' | 'height' | 'frames'>) {
  const latent = vae.latentSize(size);
  const { frames, height, width } = latent;
  const [first, count] = frames * height * width <= WHOLE_CLIP ? [0, frames] : [frames >> 1, 1];
  return { first, size: { ...latent, frames: count } };
}

export class Previews {
  readonly #vae: ClipCodec;
  readonly #settings: Settings;
  readonly #show: (clip: Frames) => void;
  readonly #end = new AbortController();
  #busy: Promise<void> | undefined;

  constructor(pipeline: DwmPipeline, settings: Settings, show: (clip: Frames) => void) {
    this.#vae = pipeline.vae;
    this.#settings = settings;
    this.#show = show;
  }

  /** @param latents of the run, which are copied before this returns. */
  offer(latents: Latents): void {
    if (this.#busy || this.#end.signal.aborted) return;
    const { first, size } = previewed(this.#vae, this.#settings);
    const { frames, channels, height, width } = size;
    const shown = new DeviceTensor(latents.device, spec([1, frames, channels, height, width]), 'preview');
    const one = channels * height * width;
    shown.copyFrom(latents, { from: first * one, count: frames * one });
    this.#busy = this.#decode(shown)
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

  /** @param latents which are destroyed. */
  async #decode(latents: Latents): Promise<void> {
    const { frames, fps } = this.#settings;
    const { signal } = this.#end;
    const video = await decodeVideo(this.#vae, latents, { tiling: true, signal }).finally(() =>
      latents.destroy(),
    );
    const shown = await toBytes(video).finally(() => video.destroy());
    signal.throwIfAborted();
    this.#show({ ...shown, fps: shown.frames === 1 ? fps / frames : fps });
  }
}
