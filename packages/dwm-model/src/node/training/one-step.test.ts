import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomReference } from '@dwm/core-tensor';
import { readSafetensors, saveSafetensors, writeFileAtomic } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { noiseToHands } from './one-step.ts';

const CONFIG = join(import.meta.dirname, '../../../../../configs/dwm-tiny/base/transformer/config.json');
const FILE = 'transformer/diffusion_pytorch_model.safetensors';
const WEIGHT = 'patch_embed.proj.weight';

async function model(folder: string, channels: number, data: Float32Array): Promise<void> {
  const config = { ...JSON.parse(await readFile(CONFIG, 'utf8')), in_channels: channels, out_channels: 2 };
  await writeFileAtomic(join(folder, 'transformer/config.json'), JSON.stringify(config));
  const others = { dtype: 'F32' as const, shape: [2], data: Float32Array.of(3, 4) };
  const shape = [5, channels, 2, 2];
  const tensors = new Map([
    [WEIGHT, { dtype: 'F32' as const, shape, data }],
    ['proj_out.bias', others],
  ]);
  await saveSafetensors(join(folder, FILE), tensors);
}

test('noise weighs nothing any more, and hands that much more; all else is as it was', async () => {
  const [from, to] = [await mkdtemp(join(tmpdir(), 'dwm-one-')), await mkdtemp(join(tmpdir(), 'dwm-one-'))];
  try {
    const data = Float32Array.from(
      randomReference({ count: 5 * 7 * 4, distribution: 'normal', stream: 0 }, [1, 2]),
    );
    await model(from, 7, data);
    await noiseToHands(from, to);
    const made = await readSafetensors(join(to, FILE));
    expect(made.get('proj_out.bias')!.data).toEqual(Float32Array.of(3, 4));
    const weight = made.get(WEIGHT)!;
    expect(weight.shape).toEqual([5, 7, 2, 2]);
    for (const [i, value] of weight.data.entries()) {
      // Channels: 0 and 1 noisy, 2 mask, 3 and 4 static, 5 and 6 hands.
      const channel = Math.floor(i / 4) % 7;
      const expected = channel < 2 ? 0 : channel < 5 ? data[i] : Math.fround(data[i] + data[i - 20]);
      expect(value).toBe(expected);
    }
    await model(from, 5, new Float32Array(5 * 5 * 4));
    await expect(noiseToHands(from, to)).rejects.toThrow('in_channels: expected 7, noisy');
  } finally {
    for (const folder of [from, to]) await rm(folder, { recursive: true });
  }
});
