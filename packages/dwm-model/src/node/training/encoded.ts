/**
 * Encoded clips and prompts in files: our safetensors, or the original's `.pt`, whose latents come as [32, F, h, w]
 * or [F, 32, h, w], with or without a batch axis. Here they are always [32, F, h, w].
 */
import { readFile, stat } from 'node:fs/promises';
import {
  InvalidFileError,
  openSafetensors,
  readTorchFile,
  type SafetensorsTensor,
  toFloat32,
} from '@dwm/core-tensor';
import { openPath, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import type { LatentSize } from '../../vae/index.ts';

export interface Encoded {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Ours, and the original's. */
export const ENCODED_EXTENSIONS = ['.safetensors', '.pt'] as const;

/** The file at `<path>.safetensors` or `<path>.pt`, whichever is there. */
export async function encodedFile(path: string): Promise<string | undefined> {
  for (const file of ENCODED_EXTENSIONS.map((extension) => path + extension)) {
    if ((await stat(file).catch(() => undefined))?.isFile()) return file;
  }
  return undefined;
}

/** The one tensor of a file. @throws InvalidFileError where there are none, or several. */
async function readOne(file: string): Promise<Encoded> {
  const tensors: Map<string, SafetensorsTensor> = file.endsWith('.pt')
    ? await readTorchFile({ name: file, bytes: await readFile(file) })
    : await readSafetensors(file);
  const [first, ...more] = tensors;
  if (!first || more.length > 0) {
    throw new InvalidFileError(
      file,
      `expected one tensor, found ${[...tensors.keys()].join(', ') || 'none'}`,
    );
  }
  const [name, tensor] = first;
  if (!['F32', 'F16', 'BF16', 'F64'].includes(tensor.dtype)) {
    throw new InvalidFileError(
      file,
      `${name || 'tensor'}: expected floating-point numbers, got ${tensor.dtype}`,
    );
  }
  return { shape: tensor.shape, values: toFloat32(tensor) };
}

/** Moments [2 C, frames, height, width] of the size that training is set up for. */
export async function readMoments(
  file: string,
  { channels, frames, height, width }: LatentSize,
): Promise<Float32Array> {
  const moments = 2 * channels;
  const { shape: given, values } = await readOne(file);
  const shape = given.length === 5 && given[0] === 1 ? given.slice(1) : given;
  const expected = [moments, frames, height, width];
  if (shape.join() === expected.join()) return values;
  if (shape.join() === [frames, moments, height, width].join()) {
    const pixels = height * width;
    const out = new Float32Array(values.length);
    for (let f = 0; f < frames; f++) {
      for (let c = 0; c < moments; c++) {
        const from = (f * moments + c) * pixels;
        out.set(values.subarray(from, from + pixels), (c * frames + f) * pixels);
      }
    }
    return out;
  }
  throw new InvalidFileError(
    file,
    `expected latents [${expected}] or [${[frames, moments, height, width]}] for the buckets of this run, got [${given}]; encode again with dwm encode`,
    { expected, actual: given },
  );
}

/** Embeddings [tokens, dim], with or without a batch axis. */
export async function readEmbeds(file: string, dim: number): Promise<Encoded> {
  const { shape: given, values } = await readOne(file);
  const shape = given.length === 3 && given[0] === 1 ? given.slice(1) : given;
  if (shape.length === 2 && shape[1] === dim && shape[0] > 0) return { shape, values };
  throw new InvalidFileError(file, `expected prompt embeddings [tokens, ${dim}], got [${given}]`, {
    expected: dim,
    actual: given,
  });
}

/** What a file says it was made from; undefined where there is none, or it is damaged. */
export async function encodedFrom(file: string): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    const checkpoint = await openSafetensors(await openPath(file));
    await checkpoint.close();
    return checkpoint.metadata;
  } catch {
    return undefined;
  }
}

/** @param metadata what this was made from: `key`, and of a clip `frames`, how many its file has. */
export async function writeEncoded(
  file: string,
  { shape, values }: Encoded,
  metadata: Record<string, string>,
): Promise<void> {
  const tensor = { dtype: 'F32' as const, shape, data: values };
  await saveSafetensors(file, new Map([['encoded', tensor]]), metadata);
}
