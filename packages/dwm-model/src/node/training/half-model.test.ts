import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toFloat32 } from '@dwm/core-tensor/files';
import { readSafetensors, saveSafetensors, writeFileAtomic } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { writeHalfModel } from './half-model.ts';

const FILES = {
  'vae/diffusion_pytorch_model.safetensors': [3],
  'transformer/diffusion_pytorch_model.safetensors': [2, 2],
  'text_encoder/model.safetensors': [1],
};

async function model(values: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dwm-half-'));
  for (const [path, shape] of Object.entries(FILES)) {
    const data = new Float32Array(shape.reduce((a, b) => a * b)).fill(values);
    await saveSafetensors(join(folder, path), new Map([['w', { dtype: 'F32' as const, shape, data }]]));
  }
  for (const part of ['vae', 'transformer', 'text_encoder', 'tokenizer', 'scheduler'])
    await writeFileAtomic(join(folder, part, 'config.json'), `{"_part":"${part}"}`);
  await writeFile(join(folder, 'model_index.json'), '{}');
  return folder;
}

test('weights in f16, configs as they are, a card that stays; weights out of range are refused', async () => {
  const [from, wild, to] = [
    await model(0.1),
    await model(70_000),
    await mkdtemp(join(tmpdir(), 'dwm-half-')),
  ];
  try {
    await writeFile(join(to, 'README.md'), 'card');
    expect(await writeHalfModel(from, to)).toEqual([
      { part: 'vae', parameters: 3, bytes: 6 },
      { part: 'transformer', parameters: 4, bytes: 8 },
      { part: 'text_encoder', parameters: 1, bytes: 2 },
    ]);
    const { w } = Object.fromEntries(
      await readSafetensors(join(to, 'transformer/diffusion_pytorch_model.safetensors')),
    );
    expect([w.dtype, w.shape]).toEqual(['F16', [2, 2]]);
    expect(toFloat32(w)[3]).toBeCloseTo(0.1, 4);
    expect(await readFile(join(to, 'scheduler/config.json'), 'utf8')).toBe('{"_part":"scheduler"}');
    const before = (await readdir(to, { recursive: true })).sort();
    expect(before).toEqual([...(await readdir(from, { recursive: true })), 'README.md'].sort());

    await expect(writeHalfModel(from, `${from}/.`)).rejects.toThrow(/is read, too; expected another folder/);
    expect(await readdir(join(from, 'vae'))).toHaveLength(2);
    await expect(writeHalfModel(wild, to)).rejects.toThrow(/vae: w holds values that f16 cannot/);
    expect((await readdir(to, { recursive: true })).sort()).toEqual(before);
  } finally {
    for (const folder of [from, wild, to]) await rm(folder, { recursive: true });
  }
});
