import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fourPixels, panel, unpackGlb, writeGlb } from '../../tests/gltf-samples.ts';
import { decodeImage } from './decode-image.ts';
import { readGltfFile } from './gltf-file.ts';

const folder = await mkdtemp(join(tmpdir(), 'gltf-'));

async function writeGltf(uri: string): Promise<string> {
  const { json, binary } = unpackGlb(await writeGlb(panel().document));
  json.buffers![0].uri = uri;
  await writeFile(join(folder, 'a b.bin'), binary);
  const path = join(folder, 'scene.gltf');
  await writeFile(path, JSON.stringify(json));
  return path;
}

test('a .gltf takes its files from beside it, and from nowhere else', async () => {
  const scene = await readGltfFile(await writeGltf('a%20b.bin'));
  expect(scene.meshes[0].primitives[0].indices).toHaveLength(96);
  await expect(readGltfFile(await writeGltf('../../etc/passwd'))).rejects.toThrow('is outside its folder');
  await expect(readGltfFile(await writeGltf('gone.bin'))).rejects.toThrow('gone.bin: no such file');
  await expect(readGltfFile(join(folder, 'none.glb'))).rejects.toThrow('no such file');
});

test('PNG pixels are exact', async () => {
  const image = { name: 'four', bytes: fourPixels(), mimeType: 'image/png', width: 2, height: 2 };
  const pixels = await decodeImage(image);
  expect('data' in pixels && [...pixels.data]).toEqual([
    255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 255, 255, 255, 255,
  ]);
});
