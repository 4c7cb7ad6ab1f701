/** Clips to latent moments and captions to embeddings as the original's encode script makes them, with their keys. */
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import type { Clip } from '../../pipeline/clip.ts';
import type { DwmPipeline } from '../../pipeline/pipeline.ts';
import { scriptFrames } from '../../training/data/training-clip.ts';
import type { Encoded } from './encoded.ts';
import type { ReadClip, ReadyClip } from './encoder.ts';
import { hashFile, hashOf, hashWeights } from './fingerprint.ts';

export interface ScriptEncoderOptions {
  readonly model: string;
  readonly frames: number;
  /** What training will ask for. */
  readonly size?: { readonly height: number; readonly width: number };
  readonly readClip: ReadClip;
  readonly pipeline: () => Promise<DwmPipeline>;
  readonly warn?: (text: string) => void;
}

export class ScriptEncoder {
  readonly #options: ScriptEncoderOptions;
  #vaeHash: Promise<string> | undefined;
  #textHash: Promise<string> | undefined;
  #warned = false;

  constructor(options: ScriptEncoderOptions) {
    this.#options = options;
  }

  async clipKey(video: string): Promise<string> {
    const { frames } = this.#options;
    return this.#key(video, JSON.stringify({ frames, tiling: false, loader: 2 }));
  }

  /** The key that earlier versions gave to a clip of the size of training. */
  async keyBefore(video: string): Promise<string> {
    const { frames, size } = this.#options;
    const asTraining = size && { frames, height: size.height, width: size.width };
    return this.#key(video, JSON.stringify({ size: asTraining, tiling: false, loader: 1 }));
  }

  async #key(video: string, settings: string): Promise<string> {
    this.#vaeHash ??= hashWeights(join(this.#options.model, 'vae'));
    return hashOf(await hashFile(video), await this.#vaeHash, settings);
  }

  async readClip(video: string): Promise<ReadyClip> {
    const { frames, readClip, size } = this.#options;
    let length = 0;
    const clip = await readClip(video, (count) => {
      length = count;
      return scriptFrames(count, frames);
    });
    if (clip.height % 8 !== 0 || clip.width % 8 !== 0) {
      throw new InvalidFileError(
        video,
        `is ${clip.width}x${clip.height}; encoding takes clips as they are, in multiples of 8: resize it with dwm prepare`,
      );
    }
    if (size && !this.#warned && (clip.height !== size.height || clip.width !== size.width)) {
      this.#warned = true;
      this.#options.warn?.(
        `${video} is ${clip.width}x${clip.height}, training wants ${size.width}x${size.height}; clips are encoded as they are, so bring them to one size with dwm prepare`,
      );
    }
    return { clip, length };
  }

  /** Moments [2 C, latent frames, latent height, latent width]. */
  async encodeClip({ data, frames, height, width }: Clip): Promise<Encoded> {
    const { vae } = await this.#options.pipeline();
    const pixels = frames * height * width;
    const values = new Float32Array(3 * pixels);
    for (let i = 0; i < pixels; i++)
      for (let c = 0; c < 3; c++) values[c * pixels + i] = (data[3 * i + c] / 255) * 2 - 1;
    const { shape, moments } = await vae.encode(values, [1, 3, frames, height, width]);
    return { shape: [2 * shape[1], ...shape.slice(2)], values: moments };
  }

  async promptKey(prompt: string): Promise<string> {
    this.#textHash ??= hashWeights(join(this.#options.model, 'text_encoder'));
    return hashOf(prompt, await this.#textHash, 'embeds 1');
  }

  /** Embeddings [tokens, dim]. */
  async encodePrompt(prompt: string): Promise<Encoded> {
    const pipeline = await this.#options.pipeline();
    const values = await pipeline.encodePrompts([prompt]);
    return { shape: [pipeline.maxPromptTokens, values.length / pipeline.maxPromptTokens], values };
  }
}
