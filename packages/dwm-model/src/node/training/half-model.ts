/**
 * A trained model as it is given away: weights in f16, half as large, beside the configs of the parts that inference
 * reads. Sums, norms and softmax stay in f32 when it runs, so what is lost is the rounding of the weights alone.
 */
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { openCheckpoint, subfolder, toFloat16, toFloat32 } from '@dwm/core-tensor/files';
import { openDirectory, saveSafetensors, type TensorToSave } from '@dwm/core-tensor/node';
import { checkApart, requirePlain } from './model-folder.ts';

/** Parts of a model folder, with the name of their weights where they have some. */
const PARTS: Readonly<Record<string, string | undefined>> = {
  vae: 'diffusion_pytorch_model',
  transformer: 'diffusion_pytorch_model',
  text_encoder: 'model',
  tokenizer: undefined,
  scheduler: undefined,
};

/** Size of a part of a model, before and after it is halved. */
export interface PartSize {
  readonly part: string;
  readonly parameters: number;
  /** Of the weight file. */
  readonly bytes: number;
}

/**
 * Writes the model of `from` to `to` with weights in f16. Other files of `to`, such as its card, stay.
 * @throws InvalidArgumentError where `to` is a folder that is read.
 * @throws InvalidFileError where a part is missing or a weight is too large for f16, before the part is written.
 */
export async function writeHalfModel(from: string, to: string): Promise<PartSize[]> {
  await checkApart('to', to, from);
  const folder = await openDirectory(from);
  const sizes: PartSize[] = [];
  for (const [part, weights] of Object.entries(PARTS)) {
    const halves = weights === undefined ? undefined : await readHalves(folder, part, weights);
    await rm(join(to, part), { recursive: true, force: true });
    await mkdir(join(to, part), { recursive: true });
    await cp(join(from, part), join(to, part), {
      recursive: true,
      filter: (path) => !/\.safetensors(\.index\.json)?$/.test(path),
    });
    if (!halves) continue;
    await saveSafetensors(join(to, part, `${weights}.safetensors`), halves, { format: 'pt' });
    const parameters = [...halves.values()].reduce(
      (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    );
    sizes.push({ part, parameters, bytes: 2 * parameters });
  }
  await cp(join(from, 'model_index.json'), join(to, 'model_index.json'));
  return sizes;
}

async function readHalves(
  folder: Awaited<ReturnType<typeof openDirectory>>,
  part: string,
  weights: string,
): Promise<Map<string, TensorToSave>> {
  const checkpoint = await openCheckpoint(subfolder(folder, part), weights);
  try {
    const halves = new Map<string, TensorToSave>();
    for (const [name, { shape, dtype }] of checkpoint.tensors) {
      requirePlain(`${folder.name}/${part}`, name, dtype);
      const data = toFloat16(toFloat32(await checkpoint.readTensor(name)));
      // All bits of the exponent: infinite, or no number.
      if (data.some((bits) => (bits & 0x7c00) === 0x7c00)) {
        throw new InvalidFileError(
          `${folder.name}/${part}`,
          `${name} holds values that f16 cannot, beyond 65504 or not finite; expected the weights of a sound training`,
          { field: name },
        );
      }
      halves.set(name, { dtype: 'F16', shape, data });
    }
    return halves;
  } finally {
    await checkpoint.close();
  }
}
