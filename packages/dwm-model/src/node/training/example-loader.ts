/**
 * Clips of a dataset as training examples: from latents and embeddings that are there already, or encoded once
 * and kept in a cache on disk.
 */
import { join } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import type { Example } from '../../training/data/batch.ts';
import type { LatentSize } from '../../vae/index.ts';
import type { Sample } from './dataset.ts';
import { encodedFile, readEmbeds, readMoments, writeEncoded } from './encoded.ts';
import { readCaption, type TrainingEncoder } from './encoder.ts';

export interface ExampleLoaderOptions {
  readonly encoder: TrainingEncoder;
  readonly cache: string;
  readonly size: LatentSize;
  /** Width of embeddings. */
  readonly textDim: number;
  /** Whether the model folder has a text encoder. */
  readonly hasTextEncoder: boolean;
  /** Latents and embeddings come with the data. */
  readonly loadTensors: boolean;
}

export class ExampleLoader {
  readonly #options: ExampleLoaderOptions;
  #tokens: number | undefined;

  constructor(options: ExampleLoaderOptions) {
    this.#options = options;
  }

  async load(sample: Sample): Promise<Example> {
    return {
      video: await this.#moments(sample, 'video'),
      static: await this.#moments(sample, 'static'),
      hand: await this.#moments(sample, 'hand'),
      text: await this.text(sample),
    };
  }

  async #moments(sample: Sample, which: 'video' | 'static' | 'hand'): Promise<Float32Array> {
    const { encoder, cache, size, loadTensors } = this.#options;
    if (loadTensors) {
      const path = sample.latents[which];
      const file = await encodedFile(path);
      if (file) return readMoments(file, size);
      throw new InvalidFileError(
        `${path}.safetensors`,
        'no such file, and no .pt either; run dwm encode first, or set training.custom_settings.load_tensors=false',
      );
    }
    const video = sample[which];
    const base = join(cache, 'latents', await encoder.clipKey(video));
    const file = await encodedFile(base);
    if (file) return readMoments(file, size);
    const encoded = await encoder.encodeClip(video);
    await writeEncoded(`${base}.safetensors`, encoded, { video });
    return encoded.values;
  }

  /** The caption's embedding [tokens, dim]; all have the same number of tokens. */
  async text(sample: Sample): Promise<Float32Array> {
    const { textDim, hasTextEncoder, loadTensors } = this.#options;
    const given = loadTensors || !hasTextEncoder ? await encodedFile(sample.promptEmbeds) : undefined;
    if (given) {
      const { shape, values } = await readEmbeds(given, textDim);
      this.#tokens ??= shape[0];
      if (shape[0] !== this.#tokens) {
        throw new InvalidFileError(
          given,
          `expected ${this.#tokens} tokens as the other prompts, got ${shape[0]}`,
        );
      }
      return values;
    }
    if (!hasTextEncoder) {
      throw new InvalidFileError(
        `${sample.promptEmbeds}.safetensors`,
        'no such file, and no .pt either; the base model has no text encoder, so embeddings must be given',
      );
    }
    return this.#encode(await readCaption(sample.prompt));
  }

  /** What a dropped prompt becomes. */
  async emptyText(): Promise<Float32Array> {
    if (this.#options.hasTextEncoder) return this.#encode('');
    throw new InvalidArgumentError(
      'training.prompt_dropout_prob',
      'needs a text encoder in the base model, for the empty prompt; set it to 0',
    );
  }

  async #encode(prompt: string): Promise<Float32Array> {
    const { encoder, cache, textDim } = this.#options;
    const base = join(cache, 'prompts', await encoder.promptKey(prompt));
    const file = await encodedFile(base);
    if (file) return (await readEmbeds(file, textDim)).values;
    const encoded = await encoder.encodePrompt(prompt);
    await writeEncoded(`${base}.safetensors`, encoded, { prompt });
    return encoded.values;
  }
}
