/**
 * Clips of a dataset as training examples, in the order of the run: from latents and embeddings that are there
 * already, or encoded once and kept in a cache on disk. Files are read and clips decoded ahead of the device's
 * turn, at most `AHEAD` of them: a decoded clip of full size is 50 MB.
 */
import { join } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import type { Example } from '../../training/data/batch.ts';
import type { Turn } from '../../training/data/batch-order.ts';
import type { LatentSize } from '../../vae/index.ts';
import { CLIPS, type ClipName, checkFiles, type Sample } from './dataset.ts';
import { encodedFile, encodedFrom, noEncodedFile, readEmbeds, readMoments, writeEncoded } from './encoded.ts';
import { type ReadyClip, readCaption, type TrainingEncoder } from './encoder.ts';
import { Prefetch } from './prefetch.ts';

interface ExampleLoaderOptions {
  readonly encoder: TrainingEncoder;
  readonly cache: string;
  readonly size: LatentSize;
  /** Width of embeddings. */
  readonly textDim: number;
  /** Whether the model folder has a text encoder. */
  readonly hasTextEncoder: boolean;
  /** Latents and embeddings come with the data. */
  readonly loadTensors: boolean;
  /** The sample at a position of the run, and whose caption it has. */
  readonly turnAt: (position: number) => Turn<Sample>;
  readonly warn: (text: string) => void;
}

/** Two triplets: one is being encoded while the next is decoded. */
const AHEAD = 2 * CLIPS.length;

/** What a sample is made from: shapes of its clips or latents, and of its caption's embedding or the caption itself. */
export interface ExampleFiles {
  /** As the list has it. */
  readonly name: string;
  readonly caption: string;
  /** Moments [2 C, frames, h, w], or [3, frames, height, width] of a clip that is yet to be encoded. */
  readonly shapes: Readonly<Record<ClipName, readonly number[]>>;
  /** [tokens, dim]; undefined where the caption is yet to be encoded. */
  readonly prompt?: readonly number[];
}

/** One clip of a sample: its moments, or what they will be made from. */
interface Ready {
  readonly turn: Turn<Sample>;
  readonly moments?: Float32Array;
  readonly decoded?: ReadyClip & { readonly video: string; readonly cached: string };
}

export class ExampleLoader {
  readonly #options: ExampleLoaderOptions;
  #ahead: { readonly clips: Prefetch<Ready>; next: number } | undefined;
  #tokens: number | undefined;
  readonly #checked = new Set<string>();
  #stretched = false;

  constructor(options: ExampleLoaderOptions) {
    this.#options = options;
  }

  /** @throws InvalidFileError naming a file that some of `samples` needs and that is not there. */
  async check(samples: readonly Sample[]): Promise<void> {
    const { hasTextEncoder, loadTensors } = this.#options;
    if (loadTensors) {
      await checkFiles(
        samples,
        ({ latents }) => ({ encoded: [latents.video] }),
        'run dwm encode first, or set training.custom_settings.load_tensors=false',
      );
      for (const which of ['static', 'hand'] as const) {
        const unencoded: Sample[] = [];
        for (const sample of samples) if (!(await encodedFile(sample.latents[which]))) unencoded.push(sample);
        const hint = 'there are no latents of it either; run dwm encode first';
        await checkFiles(unencoded, (sample) => ({ videos: [sample[which]] }), hint);
      }
    } else {
      const clips = (sample: Sample) => ({ videos: CLIPS.map((which) => sample[which]) });
      await checkFiles(samples, clips, 'add it, or take the clip out of its list');
    }
    if (!hasTextEncoder) {
      const why = 'the base model has no text encoder, so embeddings must be given';
      await checkFiles(samples, ({ promptEmbeds }) => ({ encoded: [promptEmbeds] }), why);
    } else if (!loadTensors) {
      await checkFiles(
        samples,
        ({ prompt }) => ({ files: [prompt] }),
        'write the caption of the clip into it',
      );
    }
  }

  /** @param position one after that of the call before. */
  async load(position: number): Promise<Example> {
    if (position !== this.#ahead?.next) await this.#begin(position);
    const { clips } = this.#ahead!;
    this.#ahead!.next++;
    const moments: Float32Array[] = [];
    let turn: Turn<Sample> | undefined;
    for (const _ of CLIPS) {
      const ready = await clips.take();
      turn = ready.turn;
      moments.push(await this.#momentsOf(ready));
    }
    const [video, still, hand] = moments;
    return { video, static: still, hand, text: await this.text(turn!.caption), promptAt: turn!.promptAt };
  }

  /** Reads what the example at a position is made from, and encodes nothing. */
  async look(position: number): Promise<ExampleFiles> {
    const { turnAt, size, textDim, encoder } = this.#options;
    const turn = turnAt(position);
    const shapes: [ClipName, readonly number[]][] = [];
    for (const which of CLIPS) {
      const file = await this.#latentsOf(turn.clip, which);
      if (file) {
        const moments = await readMoments(file, size, (...of) => this.#sayStretched(...of));
        const { frames, height, width } = size;
        shapes.push([which, [moments.length / (frames * height * width), frames, height, width]]);
      } else {
        const { clip } = await encoder.readClip(turn.clip, which);
        shapes.push([which, [3, clip.frames, clip.height, clip.width]]);
      }
    }
    const embeds = await this.#embedsOf(turn.caption);
    return {
      name: turn.clip.name,
      caption: await readCaption(turn.caption.prompt),
      shapes: Object.fromEntries(shapes) as Record<ClipName, readonly number[]>,
      ...(embeds && { prompt: (await readEmbeds(embeds, textDim)).shape }),
    };
  }

  /** Waits until nothing is being read. */
  async settle(): Promise<void> {
    await this.#ahead?.clips.settle();
  }

  async #begin(position: number): Promise<void> {
    await this.settle();
    const { turnAt } = this.#options;
    const read = async (index: number) =>
      this.#read(turnAt(Math.floor(index / CLIPS.length)), CLIPS[index % CLIPS.length]);
    const clips = new Prefetch(position * CLIPS.length, AHEAD, read, { overlap: true });
    this.#ahead = { clips, next: position };
  }

  /** All that needs no device. */
  async #read(turn: Turn<Sample>, which: ClipName): Promise<Ready> {
    const sample = turn.clip;
    const { encoder, cache, size } = this.#options;
    const given = await this.#latentsOf(sample, which);
    if (given) return { turn, moments: await readMoments(given, size, (...of) => this.#sayStretched(...of)) };
    const video = sample[which];
    const cached = join(cache, 'latents', await encoder.clipKey(video));
    const file = await encodedFile(cached);
    if (file) {
      const frames = (await encodedFrom(file))?.frames;
      if (frames) encoder.checkLength(sample, which, Number(frames));
      return { turn, moments: await readMoments(file, size) };
    }
    return { turn, decoded: { ...(await encoder.readClip(sample, which)), video, cached } };
  }

  /** The file of a clip's latents, where they come with the data. */
  async #latentsOf(sample: Sample, which: ClipName): Promise<string | undefined> {
    if (!this.#options.loadTensors) return undefined;
    const path = sample.latents[which];
    const file = await encodedFile(path);
    if (file) await this.#checkUntiled(file, sample[which]);
    else if (which === 'video') {
      throw noEncodedFile(path, 'run dwm encode first, or set training.custom_settings.load_tensors=false');
    }
    // Latents of the other two may be left out, as in the original: their clips are encoded.
    return file;
  }

  /** Latents that earlier versions made with tiles have seams: they are made anew, not trained on. */
  async #checkUntiled(file: string, video: string): Promise<void> {
    const found = await encodedFrom(file);
    if (!found?.key || found.tiling === 'none' || this.#checked.has(file)) return;
    this.#checked.add(file);
    const tiled = await this.#options.encoder.tiledKey(video).catch(() => undefined);
    if (found.key === tiled) throw new InvalidFileError(file, 'was encoded in tiles; run dwm encode again');
  }

  #sayStretched(file: string, from: readonly number[], to: readonly number[]): void {
    if (this.#stretched) return;
    this.#stretched = true;
    this.#options.warn(
      `${file}: latents [${from}] are stretched to [${to}], and others of that size too; encode them at the size of this run for sharp ones`,
    );
  }

  async #momentsOf({ moments, decoded }: Ready): Promise<Float32Array> {
    if (!decoded) return moments!;
    const { clip, length, video, cached } = decoded;
    // The same clip may have come up twice while it was not there yet.
    const file = await encodedFile(cached);
    if (file) return readMoments(file, this.#options.size);
    const encoded = await this.#options.encoder.encodeClip(clip);
    await writeEncoded(`${cached}.safetensors`, encoded, { video, frames: String(length) });
    return encoded.values;
  }

  /** The caption's embedding [tokens, dim]; all have the same number of tokens. */
  async text(sample: Sample): Promise<Float32Array> {
    const { textDim, hasTextEncoder } = this.#options;
    const given = await this.#embedsOf(sample);
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
      throw noEncodedFile(
        sample.promptEmbeds,
        'the base model has no text encoder, so embeddings must be given',
      );
    }
    return this.#encode(await readCaption(sample.prompt));
  }

  /** The file of a caption's embedding, where it comes with the data. */
  async #embedsOf(sample: Sample): Promise<string | undefined> {
    const { hasTextEncoder, loadTensors } = this.#options;
    return loadTensors || !hasTextEncoder ? encodedFile(sample.promptEmbeds) : undefined;
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
