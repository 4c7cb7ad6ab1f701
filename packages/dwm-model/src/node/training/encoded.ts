/**
 * Encoded clips and prompts in files: our safetensors, or the original's `.pt`, whose latents come as [32, F, h, w]
 * or [F, 32, h, w], with or without a batch axis. Here they are always [32, F, h, w].
 */
import { stat } from 'node:fs/promises';
import { axisSamples, InvalidFileError } from '@dwm/core-tensor';
import {
  openSafetensors,
  readTorchFile,
  type SafetensorsTensor,
  toBfloat16,
  toFloat32,
} from '@dwm/core-tensor/files';
import { openPath, readRegularFile, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { swapAxes } from '../../training/data/swap-axes.ts';
import type { LatentSize } from '../../vae/index.ts';

export interface Encoded {
  readonly shape: readonly number[];
  readonly values: Float32Array;
  /** How a file keeps them; F32 if left out. */
  readonly dtype?: 'F32' | 'BF16';
}

/** As a file keeps it. */
export const storedTensor = ({ shape, values, dtype = 'F32' }: Encoded): SafetensorsTensor => ({
  dtype,
  shape,
  data: dtype === 'BF16' ? toBfloat16(values) : values,
});

/** Ours, and the original's. */
export const ENCODED_EXTENSIONS = ['.safetensors', '.pt'] as const;

/** The file at `<path>.safetensors` or `<path>.pt`, whichever is there. */
export async function encodedFile(path: string): Promise<string | undefined> {
  for (const file of ENCODED_EXTENSIONS.map((extension) => path + extension)) {
    if ((await stat(file).catch(() => undefined))?.isFile()) return file;
  }
  return undefined;
}

/** What `encodedFile` did not find. @param hint what to do about it. */
export const noEncodedFile = (path: string, hint: string): InvalidFileError =>
  new InvalidFileError(`${path}.safetensors`, `no such file, and no .pt either; ${hint}`);

/** The one tensor of a file. @throws InvalidFileError where there are none, or several. */
async function readOne(file: string): Promise<Encoded> {
  const tensors: Map<string, SafetensorsTensor> = file.endsWith('.pt')
    ? await readTorchFile({ name: file, bytes: await readRegularFile(file) })
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

/**
 * Moments [2 C, frames, height, width] of the size that training is set up for. Those of another size are stretched to
 * it, as in the original.
 * @param stretched told of a file whose moments were.
 */
export async function readMoments(
  file: string,
  { channels, frames, height, width }: LatentSize,
  stretched?: (file: string, from: readonly number[], to: readonly number[]) => void,
): Promise<Float32Array> {
  const moments = 2 * channels;
  const { shape: given, values } = await readOne(file);
  const shape = given.length === 5 && given[0] === 1 ? given.slice(1) : given;
  const expected = [moments, frames, height, width];
  const channelsFirst = shape[0] === moments;
  if (shape.length !== 4 || !(channelsFirst || shape[1] === moments) || values.length === 0) {
    throw new InvalidFileError(
      file,
      `expected latents [${expected}] or [${[frames, moments, height, width]}] for the buckets of this run, got [${given}]; encode again with dwm encode`,
      { expected, actual: given },
    );
  }
  const inOrder = channelsFirst ? values : swapAxes(values, shape[0], shape[1]);
  const actual = channelsFirst ? shape : [shape[1], shape[0], ...shape.slice(2)];
  if (actual.join() === expected.join()) return inOrder;
  stretched?.(file, actual, expected);
  return stretch(inOrder, actual, expected);
}

/** Trilinear, edges not aligned, as `torch.nn.functional.interpolate`: one axis after the other, the first left alone. */
function stretch(values: Float32Array, from: readonly number[], to: readonly number[]): Float32Array {
  let now = values;
  const shape = [...from];
  for (let axis = 1; axis < shape.length; axis++) {
    if (shape[axis] === to[axis]) continue;
    const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
    const next = new Float32Array(outer * to[axis] * inner);
    for (const [i, { low, high, lowWeight, highWeight }] of axisSamples(
      shape[axis],
      to[axis],
      'linear',
    ).entries()) {
      for (let o = 0; o < outer; o++) {
        const [a, b] = [low, high].map((at) => (o * shape[axis] + at) * inner);
        const target = (o * to[axis] + i) * inner;
        for (let k = 0; k < inner; k++) next[target + k] = lowWeight * now[a + k] + highWeight * now[b + k];
      }
    }
    shape[axis] = to[axis];
    now = next;
  }
  return now;
}

/** Latents [C, frames, height, width], drawn once, of the size that training is set up for. */
export async function readLatents(
  file: string,
  { channels, frames, height, width }: LatentSize,
): Promise<Float32Array> {
  const { shape: given, values } = await readOne(file);
  const shape = given.length === 5 && given[0] === 1 ? given.slice(1) : given;
  const expected = [channels, frames, height, width];
  if (shape.join() === expected.join()) return values;
  throw new InvalidFileError(
    file,
    `expected latents [${expected}] for the buckets of this run, got [${given}]; encode again with dwm encode`,
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
  encoded: Encoded,
  metadata: Record<string, string>,
): Promise<void> {
  await saveSafetensors(file, new Map([['encoded', storedTensor(encoded)]]), metadata);
}
