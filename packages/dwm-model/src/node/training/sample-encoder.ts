/**
 * Clips to latents and captions to embeddings as the original's encode script for Wan makes them: every frame of a clip, a
 * draw from its posterior in bf16, and of a caption as many rows as it has tokens.
 */
import { join } from 'node:path';
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { openDirectory } from '@dwm/core-tensor/node';
import { familyOf, type ModelFamily, type TextReader } from '../../families/index.ts';
import type { ClipCodec } from '../../vae/index.ts';
import { drawnLatents, encodeValues, encodeVideo } from '../../video/codec.ts';
import type { Video } from '../../video/video.ts';
import type { Modality } from './encode-jobs.ts';
import type { Encoded } from './encoded.ts';
import type { ReadyClip } from './encoder.ts';
import type { Encodes, EncodingPart } from './family-training.ts';
import { hashFile, hashOf, hashVideo } from './fingerprint.ts';
import { checkMultiples, type EncodingScript, type ScriptOptions } from './script-encoder.ts';

/** Keeps the draws apart from those of training. */
const DRAW_KEY = 0x57414e44;

type SampledFiles = (Encodes & { kind: 'samples' })['files'];

export class SampleEncoder implements EncodingScript {
  readonly #options: ScriptOptions;
  readonly #files: SampledFiles;
  #rows: Promise<number> | undefined;
  #ratio: Promise<number> | undefined;
  #vae: Promise<ClipCodec> | undefined;
  #text: Promise<TextReader> | undefined;
  readonly #hashes = new Map<EncodingPart, Promise<string>>();

  /** @param files of a part's weights. */
  constructor(options: ScriptOptions, files: SampledFiles) {
    this.#options = options;
    this.#files = files;
  }

  async load(modality: Modality): Promise<void> {
    await (modality === 'prompts' ? this.#loadText() : this.#loadVae());
  }

  async clipKey(video: string, firstFrame = false): Promise<string> {
    const what = firstFrame ? 'first frame 1' : 'sample 1';
    return hashOf(await hashVideo(video), await this.#hash('vae'), what);
  }

  async readClip(video: string): Promise<ReadyClip> {
    const { readClip } = this.#options;
    let length = 0;
    const clip = await readClip(video, (count) => {
      length = count;
      return Array.from({ length: count }, (_, i) => i);
    });
    checkMultiples(video, clip, await this.#spatialRatio());
    return { clip, length };
  }

  /** A sample [C, latent frames, h, w], which follows from `key`. Frames that do not fill a latent frame are left out. */
  async encodeClip(clip: Video, key: string, firstFrame = false): Promise<Encoded> {
    const vae = await this.#loadVae();
    const posterior = firstFrame
      ? await encodeValues(vae, firstFrameOf(clip), clip)
      : await encodeVideo(vae, clip);
    const [stream, seed] = [key.slice(0, 8), key.slice(8, 16)].map((word) => Number.parseInt(word, 16));
    const latents = await drawnLatents(vae.device, posterior, [seed, DRAW_KEY], stream);
    return { ...latents, dtype: 'BF16' };
  }

  async promptKey(prompt: string): Promise<string> {
    return hashOf(prompt, await this.#hash('text'), 'own rows 1');
  }

  /** Embeddings [the caption's tokens, dim]. */
  async encodePrompt(prompt: string): Promise<Encoded> {
    const text = await this.#loadText();
    const most = await this.#textRows();
    const rows = Math.min(most, text.countTokens(prompt));
    const values = await text.encode([prompt], most, 'f32');
    return { shape: [rows, text.width], values: values.slice(0, rows * text.width), dtype: 'BF16' };
  }

  /** Pixels of a latent pixel's edge: the same for every clip, and the VAE's file is opened to learn it. */
  #spatialRatio(): Promise<number> {
    this.#ratio ??= (async () => {
      const folder = await openDirectory(this.#options.model);
      const family = await familyOf(folder);
      const { height } = await family.latentSize(folder, { frames: 1, height: 1, width: 1 });
      return Math.round(1 / height);
    })();
    return this.#ratio;
  }

  /** Rows that captions are cut to. */
  #textRows(): Promise<number> {
    this.#rows ??= (async () => {
      const folder = await openDirectory(this.#options.model);
      return (await (await familyOf(folder)).shapes(folder)).network.textTokens;
    })();
    return this.#rows;
  }

  async #loadVae(): Promise<ClipCodec> {
    this.#vae ??= this.#family(async (family, device, folder) =>
      family.loadVae(device, folder, {
        precision: 'f32',
        onProgress: (done, total) => this.#options.onLoading?.('vae', done, total),
      }),
    );
    return this.#vae;
  }

  async #loadText(): Promise<TextReader> {
    this.#text ??= this.#family(async (family, device, folder) => {
      const text = await family.loadText(device, folder, (done, total) =>
        this.#options.onLoading?.('text encoder', done, total),
      );
      if (text) return text;
      throw new InvalidArgumentError(
        'modalities',
        `${folder.name} has no text encoder; leave prompts out, or download the whole model`,
      );
    });
    return this.#text;
  }

  async #family<T>(
    load: (family: ModelFamily, device: Device, folder: ModelFolder) => Promise<T>,
  ): Promise<T> {
    const folder = await openDirectory(this.#options.model);
    return load(await familyOf(folder), await this.#options.device(), folder);
  }

  #hash(part: EncodingPart): Promise<string> {
    const known = this.#hashes.get(part);
    if (known) return known;
    const hash = this.#hashFiles(part);
    this.#hashes.set(part, hash);
    return hash;
  }

  async #hashFiles(part: EncodingPart): Promise<string> {
    const { model } = this.#options;
    const files = await this.#files(await openDirectory(model), part);
    return hashOf(...(await Promise.all(files.map((file) => hashFile(join(model, file))))));
  }
}

/** A clip's first frame in [-1, 1], and zeros, which are grey, for the others. */
function firstFrameOf({ data, frames }: Video): Float32Array {
  const values = new Float32Array(data.length);
  for (let i = 0; i < data.length / frames; i++) values[i] = (data[i] / 255) * 2 - 1;
  return values;
}
