/**
 * Clips to latent moments and prompts to embeddings, each with the key that says what it was made from: the
 * clip's or prompt's content, the weights and the settings.
 */
import { join } from 'node:path';
import { InvalidFileError, parameter } from '@dwm/core-tensor';
import { fileProblem, readRegularText } from '@dwm/core-tensor/node';
import type { DwmPipeline } from '../../pipeline/pipeline.ts';
import { prepareTrainingClip, trainingFrames } from '../../training/data/training-clip.ts';
import { encodeValues, fileLatents } from '../../video/codec.ts';
import type { Video, VideoSize } from '../../video/video.ts';
import type { ClipName, Sample } from './dataset.ts';
import type { Encoded } from './encoded.ts';
import { hashOf, hashVideo, hashWeights } from './fingerprint.ts';

/** Decodes some frames of a video: those that `choose` picks, given how many there are. */
export type ReadClip = (path: string, choose: (frames: number) => readonly number[]) => Promise<Video>;

export interface ReadyClip {
  readonly clip: Video;
  /** Frames in the file, of which training may take some. */
  readonly length: number;
}

interface EncoderOptions {
  /** Folder of the base model. */
  readonly model: string;
  readonly size: VideoSize;
  readonly readClip: ReadClip;
  /** Loaded when something has to be encoded. */
  readonly pipeline: () => Promise<DwmPipeline>;
}

/** A video file and its frames. */
export interface ClipLength {
  readonly path: string;
  readonly frames: number;
}

/**
 * @param other clip of the same sample.
 * @throws InvalidFileError where the two have other lengths: frames would not belong together. One frame alone stands
 *   for a scene at rest.
 */
export function checkSameLength({ path, frames }: ClipLength, other: ClipLength | undefined): void {
  if (frames === 1 || !other || other.frames === frames) return;
  throw new InvalidFileError(
    path,
    `has ${frames} frames, but ${other.path} has ${other.frames}; clips of one sample must show the same moments`,
    { frames, expected: other.frames },
  );
}

export class TrainingEncoder {
  readonly #options: EncoderOptions;
  #vaeHash: Promise<string> | undefined;
  #textHash: Promise<string> | undefined;
  /** Of each sample, a clip that was read. */
  readonly #lengths = new Map<string, ClipLength>();

  constructor(options: EncoderOptions) {
    this.#options = options;
  }

  async clipKey(video: string): Promise<string> {
    return this.#key(video, false);
  }

  /** The key of what earlier versions encoded in tiles. */
  async tiledKey(video: string): Promise<string> {
    return this.#key(video, true);
  }

  async #key(video: string, tiling: boolean): Promise<string> {
    const { model, size } = this.#options;
    this.#vaeHash ??= hashWeights(join(model, 'vae'));
    const settings = JSON.stringify({ size, tiling, loader: 1 });
    return hashOf(await hashVideo(video), await this.#vaeHash, settings);
  }

  /** The frames of a sample's clip that training takes, as they are in the file. Throws as `checkLength` does. */
  async readClip(sample: Sample, which: ClipName): Promise<ReadyClip> {
    const { size, readClip } = this.#options;
    let length = 0;
    const clip = await readClip(sample[which], (frames) => {
      length = frames;
      this.checkLength(sample, which, frames);
      return trainingFrames(frames, size.frames);
    });
    return { clip, length };
  }

  /**
   * @param frames of the clip as it is in its file.
   * @throws InvalidFileError when another clip of the sample has another length: frames would not belong together.
   *   One frame alone stands for a scene at rest.
   */
  checkLength(sample: Sample, which: ClipName, frames: number): void {
    const clip = { path: sample[which], frames };
    checkSameLength(clip, this.#lengths.get(sample.video));
    if (frames !== 1) this.#lengths.set(sample.video, clip);
  }

  /** Moments [2 C, latent frames, latent height, latent width] of frames that `readClip` gave. */
  async encodeClip(clip: Video): Promise<Encoded> {
    const { size } = this.#options;
    const { device, vae } = await this.#options.pipeline();
    const prepared = await prepareTrainingClip(device, clip, size);
    // Untiled, whatever the experiment says of inference: tiles leave seams in latents.
    const posterior = await encodeValues(vae, prepared, size);
    return fileLatents(device, parameter(posterior.moments)).finally(() => posterior.destroy());
  }

  async promptKey(prompt: string): Promise<string> {
    const { model } = this.#options;
    this.#textHash ??= hashWeights(join(model, 'text_encoder'));
    return hashOf(prompt, await this.#textHash, 'embeds 1');
  }

  /** Embeddings [tokens, dim]. */
  async encodePrompt(prompt: string): Promise<Encoded> {
    const pipeline = await this.#options.pipeline();
    const values = await pipeline.encodePrompts([prompt]);
    return { shape: [pipeline.maxPromptTokens, values.length / pipeline.maxPromptTokens], values };
  }
}

/**
 * The caption of a clip, trimmed; empty where there is none, as in the original.
 * @throws InvalidFileError where it cannot be read.
 */
export async function readCaption(path: string): Promise<string> {
  try {
    return (await readRegularText(path)).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw new InvalidFileError(path, fileProblem(error));
  }
}

/**
 * What the original's encode script takes of a caption: its first line, which may be empty.
 * @throws InvalidFileError where it is not there or cannot be read.
 */
export async function readFirstLine(path: string): Promise<string> {
  const text = await readRegularText(path).catch((error: NodeJS.ErrnoException) => {
    const problem = error.code === 'ENOENT' ? 'no such caption; write one' : fileProblem(error);
    throw new InvalidFileError(path, problem);
  });
  return text.split(/[\r\n]/, 1)[0].trim();
}
