import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { mixWeights } from './mix-weights.ts';

const FILE = 'transformer/diffusion_pytorch_model.safetensors';

test('what is mixed lies between both by its share; other shapes are refused by name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dwm-mix-'));
  const model = async (name: string, data: number[], shape: number[]) => {
    await mkdir(join(folder, name, 'transformer'), { recursive: true });
    const tensor = { dtype: 'F32' as const, shape, data: Float32Array.from(data) };
    await saveSafetensors(join(folder, name, FILE), new Map([['proj.weight', tensor]]));
    return join(folder, name);
  };
  try {
    const a = await model('a', [1, -2, 8], [3]);
    const b = await model('b', [5, 2, 0], [3]);
    await mixWeights(a, b, 0.75, join(folder, 'mixed'));
    const mixed = await readSafetensors(join(folder, 'mixed', FILE));
    expect(Array.from(mixed.get('proj.weight')!.data as Float32Array)).toEqual([2, -1, 6]);
    const wide = await model('wide', [1, 2, 3], [1, 3]);
    await expect(mixWeights(a, wide, 0.5, join(folder, 'none'))).rejects.toThrow(
      /wide.*proj\.weight: expected \[3\] as in .*, got \[1,3\]/,
    );
    const eight = { dtype: 'F8_E4M3' as const, shape: [3], data: Uint8Array.of(1, 2, 3) };
    await saveSafetensors(join(b, FILE), new Map([['proj.weight', eight]]));
    await expect(mixWeights(a, b, 0.5, join(folder, 'none'))).rejects.toThrow(
      /b\/transformer.*: proj\.weight is quantized \(F8_E4M3\); expected the model from before/,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
