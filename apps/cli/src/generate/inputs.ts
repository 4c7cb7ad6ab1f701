/** Reading what a clip is made from: videos or folders of PNGs, captions, tensors. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidFileError, type SafetensorsTensor, toFloat32 } from '@dwm/core-tensor';
import { readSafetensors } from '@dwm/core-tensor/node';
import type { Draws, LatentSize, PromptEmbeds } from '@dwm/dwm-model';
import { type Frames, readPng, readVideo } from '@dwm/media/node';
import { exists } from './files.ts';
import type { Job } from './jobs.ts';

/** The videos of one clip. */
export interface ClipVideos {
  readonly staticVideo: Frames;
  readonly handVideo: Frames;
  readonly truth?: Frames;
}

/** @param fps rate of folders of frames, which do not say. */
export async function readVideos(job: Job, fps: number): Promise<ClipVideos> {
  const { truth } = job;
  return {
    staticVideo: await readClip(job.staticVideo, fps),
    handVideo: await readClip(job.handVideo, fps),
    truth: truth !== undefined && (await exists(truth)) ? await readClip(truth, fps) : undefined,
  };
}

/** All frames of a video file, or of a folder of PNG images in the order of their names. */
export async function readClip(path: string, fps: number): Promise<Frames> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isDirectory()) return readVideo(path);
  const names = (await readdir(path)).filter((name) => name.toLowerCase().endsWith('.png')).sort();
  if (names.length === 0)
    throw new InvalidFileError(path, 'holds no PNG images; expected a video or a folder of frames');
  const images = await Promise.all(names.map((name) => readPng(join(path, name))));
  const [{ height, width }] = images;
  const data = new Uint8Array(images.length * height * width * 3);
  for (const [i, image] of images.entries()) {
    if (image.height !== height || image.width !== width) {
      throw new InvalidFileError(
        join(path, names[i]),
        `is ${image.width}x${image.height}, but ${names[0]} is ${width}x${height}; all frames must be of one size`,
      );
    }
    data.set(image.data, i * height * width * 3);
  }
  return { data, frames: images.length, height, width, fps };
}

/** The caption of a clip, trimmed. */
export async function readPrompt(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new InvalidFileError(path, `no caption (${code}); write one, or pass --use-empty-prompts`);
  }
}

function pick(file: string, tensors: ReadonlyMap<string, SafetensorsTensor>, names: readonly string[]) {
  const found = names.find((name) => tensors.has(name));
  if (!found) return undefined;
  const tensor = tensors.get(found)!;
  if (!['F32', 'F16', 'BF16', 'F64'].includes(tensor.dtype)) {
    throw new InvalidFileError(file, `${found}: expected a floating-point tensor, got ${tensor.dtype}`, {
      field: found,
    });
  }
  return { shape: tensor.shape, values: toFloat32(tensor) };
}

/** Embeddings and where they came from. */
export interface TextEmbeds extends PromptEmbeds {
  readonly file: string;
  readonly dim: number;
}

/** `prompt_embeds` [1, tokens, dim] and, if there, `negative_prompt_embeds` of the same shape. */
export async function readPromptEmbeds(file: string): Promise<TextEmbeds> {
  const tensors = await readSafetensors(file);
  const read = (field: string) => {
    const found = pick(file, tensors, [field, `in.${field}`]);
    if (!found) return undefined;
    const { shape, values } = found;
    if (
      shape.length < 2 ||
      shape.length > 3 ||
      (shape.length === 3 && shape[0] !== 1) ||
      values.length === 0
    ) {
      throw new InvalidFileError(file, `${field}: expected [1, tokens, dim], got [${shape}]`, { field });
    }
    return { values, tokens: shape[shape.length - 2], dim: shape[shape.length - 1] };
  };
  const prompt = read('prompt_embeds');
  if (!prompt) throw new InvalidFileError(file, 'prompt_embeds is missing', { field: 'prompt_embeds' });
  const negative = read('negative_prompt_embeds');
  const { tokens, dim } = prompt;
  if (negative && (negative.tokens !== tokens || negative.dim !== dim)) {
    throw new InvalidFileError(
      file,
      `negative_prompt_embeds: expected [1, ${tokens}, ${dim}] as prompt_embeds, got [1, ${negative.tokens}, ${negative.dim}]`,
      { field: 'negative_prompt_embeds' },
    );
  }
  return { file, prompt: prompt.values, negative: negative?.values, tokens, dim };
}

/**
 * `latents` [1, frames, C, h, w]: the initial noise. To repeat another program's run exactly the file may
 * also hold the posterior draws `eps.hand` and `eps.static` [1, C, frames, h, w].
 * @param latent size of the video to make, for which see `latentSize`.
 */
export async function readDraws(
  file: string,
  { channels, frames, height, width }: LatentSize,
): Promise<Draws> {
  const tensors = await readSafetensors(file);
  const read = (names: string[], expected: number[]) => {
    const found = pick(file, tensors, names);
    if (found && found.shape.join() !== expected.join()) {
      throw new InvalidFileError(
        file,
        `${names[0]}: expected [${expected.join(', ')}] for this model and size, got [${found.shape.join(', ')}]`,
        { field: names[0], expected, actual: found.shape },
      );
    }
    return found?.values;
  };
  const posterior = [1, channels, frames, height, width];
  const latents = read(['latents', 'in.latents'], [1, frames, channels, height, width]);
  if (!latents) throw new InvalidFileError(file, 'latents is missing', { field: 'latents' });
  return { latents, hand: read(['eps.hand'], posterior), static: read(['eps.static'], posterior) };
}
