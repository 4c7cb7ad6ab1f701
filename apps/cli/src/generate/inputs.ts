/** Reading what a clip is made from: videos or folders of PNGs, captions, tensors. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidFileError, type SafetensorsTensor, toFloat32 } from '@dwm/core-tensor';
import { readSafetensors } from '@dwm/core-tensor/node';
import type { Draws, PromptEmbeds } from '@dwm/dwm-model';
import { type Frames, readPng, readVideo } from '@dwm/media/node';

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

/** `prompt_embeds` [1, tokens, dim] and, if there, `negative_prompt_embeds` of the same shape. */
export async function readPromptEmbeds(path: string): Promise<PromptEmbeds> {
  const tensors = await readSafetensors(path);
  const prompt = pick(path, tensors, ['prompt_embeds', 'in.prompt_embeds']);
  if (!prompt) throw new InvalidFileError(path, 'prompt_embeds is missing', { field: 'prompt_embeds' });
  const { shape } = prompt;
  if (shape.length < 2 || shape.length > 3 || (shape.length === 3 && shape[0] !== 1)) {
    throw new InvalidFileError(path, `prompt_embeds: expected [1, tokens, dim], got [${shape}]`, {
      field: 'prompt_embeds',
    });
  }
  const negative = pick(path, tensors, ['negative_prompt_embeds', 'in.negative_prompt_embeds']);
  return { prompt: prompt.values, negative: negative?.values, tokens: shape[shape.length - 2] };
}

/**
 * `latents` [1, frames, 16, h, w]: the initial noise. To repeat another program's run exactly the file may
 * also hold the posterior draws `eps.hand` and `eps.static` [1, 16, frames, h, w].
 */
export async function readDraws(path: string): Promise<Draws> {
  const tensors = await readSafetensors(path);
  const latents = pick(path, tensors, ['latents', 'in.latents']);
  if (!latents) throw new InvalidFileError(path, 'latents is missing', { field: 'latents' });
  return {
    latents: latents.values,
    hand: pick(path, tensors, ['eps.hand'])?.values,
    static: pick(path, tensors, ['eps.static'])?.values,
  };
}
