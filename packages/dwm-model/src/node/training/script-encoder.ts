/** Clips to latent moments and captions to embeddings as the original's encode script makes them, with their keys. */
import { join } from 'node:path';
import { type Device, InvalidFileError, parameter } from '@dwm/core-tensor';
import { openDirectory } from '@dwm/core-tensor/node';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import { scriptFrames } from '../../training/data/training-clip.ts';
import { emptyParameters } from '../../training/export.ts';
import { readTransformerConfig } from '../../transformer/index.ts';
import { encodeVideo, fileLatents } from '../../video/codec.ts';
import type { Video } from '../../video/video.ts';
import { readJson } from '../../weights/config.ts';
import type { Modality } from './encode-jobs.ts';
import type { Encoded } from './encoded.ts';
import type { ReadClip, ReadyClip } from './encoder.ts';
import { hashOf, hashVideo, hashWeights } from './fingerprint.ts';

export interface ScriptOptions {
  readonly model: string;
  readonly frames: number;
  /** What training will ask for. */
  readonly size?: { readonly height: number; readonly width: number };
  readonly readClip: ReadClip;
  /** Opened when something has to be encoded. */
  readonly device: () => Promise<Device>;
  readonly onLoading?: (part: string, done: number, total: number) => void;
  readonly warn?: (text: string) => void;
}

/** How a family's clips and captions are encoded, each with the key that says what it was made from. */
export interface EncodingScript {
  /** Loads what files of this kind are encoded with. */
  load(modality: Modality): Promise<void>;
  /** @param firstFrame whether only that is seen. */
  clipKey(video: string, firstFrame?: boolean): Promise<string>;
  /** The key that earlier versions gave to a clip of the size of training, where there was another. */
  keyBefore?(video: string): Promise<string>;
  readClip(video: string): Promise<ReadyClip>;
  encodeClip(clip: Video, key: string, firstFrame?: boolean): Promise<Encoded>;
  promptKey(prompt: string): Promise<string>;
  encodePrompt(prompt: string): Promise<Encoded>;
}

/** @throws InvalidFileError for a clip that latents, one for `unit` pixels each way, do not cover. */
export function checkMultiples(video: string, { height, width }: Video, unit: number): void {
  if (height % unit === 0 && width % unit === 0) return;
  throw new InvalidFileError(
    video,
    `is ${width}x${height}; encoding takes clips as they are, in multiples of ${unit}: resize it with dwm prepare`,
  );
}

export class ScriptEncoder implements EncodingScript {
  readonly #options: ScriptOptions;
  #pipeline: Promise<DwmPipeline> | undefined;
  #vaeHash: Promise<string> | undefined;
  #textHash: Promise<string> | undefined;
  #warned = false;

  constructor(options: ScriptOptions) {
    this.#options = options;
  }

  async load(): Promise<void> {
    await this.#load();
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
    return hashOf(await hashVideo(video), await this.#vaeHash, settings);
  }

  async readClip(video: string): Promise<ReadyClip> {
    const { frames, readClip, size } = this.#options;
    let length = 0;
    const clip = await readClip(video, (count) => {
      length = count;
      return scriptFrames(count, frames);
    });
    checkMultiples(video, clip, 8);
    if (size && !this.#warned && (clip.height !== size.height || clip.width !== size.width)) {
      this.#warned = true;
      this.#options.warn?.(
        `${video} is ${clip.width}x${clip.height}, training wants ${size.width}x${size.height}; clips are encoded as they are, so bring them to one size with dwm prepare`,
      );
    }
    return { clip, length };
  }

  /** Moments [2 C, latent frames, latent height, latent width]. */
  async encodeClip(clip: Video): Promise<Encoded> {
    const { vae } = await this.#load();
    const posterior = await encodeVideo(vae, clip);
    return fileLatents(vae.device, parameter(posterior.moments)).finally(() => posterior.destroy());
  }

  async promptKey(prompt: string): Promise<string> {
    this.#textHash ??= hashWeights(join(this.#options.model, 'text_encoder'));
    return hashOf(prompt, await this.#textHash, 'embeds 1');
  }

  /** Embeddings [tokens, dim]. */
  async encodePrompt(prompt: string): Promise<Encoded> {
    const pipeline = await this.#load();
    const values = await pipeline.encodePrompts([prompt]);
    return { shape: [pipeline.maxPromptTokens, values.length / pipeline.maxPromptTokens], values };
  }

  #load(): Promise<DwmPipeline> {
    this.#pipeline ??= (async () => {
      const { model, device, onLoading } = this.#options;
      const folder = await openDirectory(model);
      // The transformer has no part in encoding: its config is enough.
      const { json, file } = await readJson(folder, 'transformer/config.json');
      const transformer = { config: readTransformerConfig(json, file), parameters: emptyParameters() };
      return DwmPipeline.load(await device(), folder, { transformer, onProgress: onLoading });
    })();
    return this.#pipeline;
  }
}
