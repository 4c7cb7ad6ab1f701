/**
 * The mean of two trainings of one transformer, weight by weight: where one went on from the other, what lies between
 * them may be better than either (Wortsman et al., arXiv:2203.05482).
 */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { toFloat32 } from '@dwm/core-tensor/files';
import { readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { TRANSFORMER_FILE } from '../../training/export.ts';
import { checkApart, requirePlain } from './model-folder.ts';

/**
 * Writes the model of `from` to `to`, its transformer being `share` of its own and the rest of that of `other`.
 * @throws InvalidArgumentError where `to` is a folder that is read.
 * @throws InvalidFileError where `other` lacks one of its tensors, or has it in another shape; for quantized weights.
 */
export async function mixWeights(from: string, other: string, share: number, to: string): Promise<void> {
  await checkApart('to', to, from, other);
  const [own, others] = [
    await readSafetensors(join(from, TRANSFORMER_FILE)),
    await readSafetensors(join(other, TRANSFORMER_FILE)),
  ];
  const mixed = [...own].map(([name, tensor]) => {
    const second = others.get(name);
    if (String(second?.shape) !== String(tensor.shape)) {
      throw new InvalidFileError(
        join(other, TRANSFORMER_FILE),
        `${name}: expected [${tensor.shape}] as in ${join(from, TRANSFORMER_FILE)}, got ${second ? `[${second.shape}]` : 'nothing'}`,
        { field: name },
      );
    }
    requirePlain(join(from, TRANSFORMER_FILE), name, tensor.dtype);
    requirePlain(join(other, TRANSFORMER_FILE), name, second!.dtype);
    const [a, b] = [toFloat32(tensor), toFloat32(second!)];
    const data = Float32Array.from(a, (value, i) => share * value + (1 - share) * b[i]);
    return [name, { dtype: 'F32' as const, shape: tensor.shape, data }] as const;
  });
  await cp(from, to, { recursive: true });
  await saveSafetensors(join(to, TRANSFORMER_FILE), new Map(mixed));
}
