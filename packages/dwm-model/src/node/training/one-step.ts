/**
 * What a DWM of a single step starts from. Its noisy latents are nothing but noise, so the weights of the patch
 * projection that read them are free: they are added to those of the hands, which began at zero and stay small beside
 * the others for thousands of steps.
 */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { toFloat32 } from '@dwm/core-tensor/files';
import { openDirectory, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { TRANSFORMER_FILE } from '../../training/export.ts';
import { readTransformerConfig } from '../../transformer/index.ts';
import { readJson } from '../../weights/config.ts';
import { checkApart } from './model-folder.ts';

const WEIGHT = 'patch_embed.proj.weight';

/**
 * Writes the model of `from` to `to`, with what read noise reading hands.
 * @throws InvalidArgumentError where `to` is a folder that is read.
 * @throws InvalidFileError where the transformer has other channels than noisy | mask | static | hands.
 */
export async function noiseToHands(from: string, to: string): Promise<void> {
  await checkApart('to', to, from);
  const { json, file } = await readJson(await openDirectory(from), 'transformer/config.json');
  const { in_channels: channels, out_channels: latents } = readTransformerConfig(json, file);
  if (channels !== 3 * latents + 1) {
    throw new InvalidFileError(
      file,
      `in_channels: expected ${3 * latents + 1}, noisy | mask | static | hands, got ${channels}`,
      { field: 'in_channels' },
    );
  }
  const tensors = await readSafetensors(join(from, TRANSFORMER_FILE));
  const projection = tensors.get(WEIGHT);
  if (!projection)
    throw new InvalidFileError(join(from, TRANSFORMER_FILE), `${WEIGHT} is missing`, { field: WEIGHT });
  const { shape } = projection;
  const data = Float32Array.from(toFloat32(projection));
  const values = shape.slice(2).reduce((a, b) => a * b, 1);
  for (let row = 0; row < shape[0]; row++) {
    const noise = row * channels * values;
    const hands = noise + (2 * latents + 1) * values;
    for (let i = 0; i < latents * values; i++) {
      data[hands + i] += data[noise + i];
      data[noise + i] = 0;
    }
  }
  await cp(from, to, { recursive: true });
  await saveSafetensors(
    join(to, TRANSFORMER_FILE),
    new Map([...tensors, [WEIGHT, { dtype: 'F32', shape, data }]]),
  );
}
