/**
 * What a run looks like after each step: its clean latents through a decoder of its own, beside the run. A preview
 * that is not ready when the next one comes is the one that is shown; the newer is left out.
 */
import { CogVideoXVae, type DwmPipeline } from '@dwm/dwm-model';
import type { Clip, Settings } from './protocol.ts';

/** Above this many latent pixels a preview is one frame, the middle one. */
const WHOLE_CLIP = 2048;

export class Previews {
  readonly #vae: CogVideoXVae;
  readonly #settings: Settings;
  readonly #show: (clip: Clip) => void;
  #busy: Promise<void> | undefined;
  #ended = false;

  constructor(pipeline: DwmPipeline, settings: Settings, show: (clip: Clip) => void) {
    const { vae } = pipeline;
    this.#vae = new CogVideoXVae(pipeline.device, vae.config, vae.parameters, pipeline.precision);
    this.#settings = settings;
    this.#show = show;
  }

  /** @param latents [F', channels, h, w], scaled as the run has them. */
  offer(latents: Float32Array): void {
    if (this.#busy) return;
    this.#busy = this.#decode(latents)
      // A lost device or a full one is for the run itself to say.
      .catch(() => {})
      .finally(() => {
        this.#busy = undefined;
      });
  }

  /** Waits for what is under way, so that nothing of it outlives the run. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#busy;
  }

  async #decode(latents: Float32Array): Promise<void> {
    const { width, height, frames, fps } = this.#settings;
    const { latent_channels: channels, scaling_factor: scaling, block_out_channels } = this.#vae.config;
    const ratio = 2 ** (block_out_channels.length - 1);
    const [h, w] = [height / ratio, width / ratio];
    const all = latents.length / (channels * h * w);
    const [first, count] = all * h * w <= WHOLE_CLIP ? [0, all] : [all >> 1, 1];
    const unscaled = new Float32Array(channels * count * h * w);
    for (let c = 0; c < channels; c++) {
      for (let f = 0; f < count; f++) {
        const from = ((first + f) * channels + c) * h * w;
        for (let i = 0; i < h * w; i++) unscaled[(c * count + f) * h * w + i] = latents[from + i] / scaling;
      }
    }
    const decoded = await this.#vae.decode(unscaled, [1, channels, count, h, w], { tiling: true });
    if (this.#ended) return;
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
