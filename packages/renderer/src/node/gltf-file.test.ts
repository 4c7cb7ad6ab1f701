import { mkdtemp, realpath, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
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

const refusal = async (uri: string) =>
  readGltfFile(await writeGltf(uri)).then(
    () => 'no error',
    (error: unknown) => {
      expect(error).toBeInstanceOf(InvalidFileError);
      return (error as Error).message;
    },
  );

test('a .gltf takes its files from beside it, and from nowhere else', async () => {
  const scene = await readGltfFile(await writeGltf('a%20b.bin'));
  expect(scene.meshes[0].primitives[0].indices).toHaveLength(96);
  const outside = await mkdtemp(join(tmpdir(), 'outside-'));
  await writeFile(join(outside, 'secret.bin'), new Uint8Array(9999));
  await symlink(join(outside, 'secret.bin'), join(folder, 'link.bin'));
  await symlink(outside, join(folder, 'linked'));
  for (const [uri, problem] of [
    ['../secret.bin', 'buffers[0].uri "../secret.bin" leads out by ".."'],
    ['%2e%2e/secret.bin', 'buffers[0].uri "../secret.bin" leads out by ".."'],
    [join(outside, 'secret.bin'), 'is an absolute path'],
    ['C:/secret.bin', 'is an absolute path'],
    ['link.bin', `links to ${await realpath(outside)}/secret.bin, outside ${folder}; copy it beside`],
    ['linked/secret.bin', 'links to'],
    ['gone.bin', 'gone.bin: no such file'],
    ['.', 'links to'],
    ['a%00b.bin', 'has a control character'],
  ]) {
    expect(await refusal(uri)).toContain(problem);
  }
  await symlink(join(folder, 'a b.bin'), join(folder, 'alias.bin'));
  await symlink(folder, join(outside, 'room'));
  await writeGltf('alias.bin');
  // A link that the user names is the user's own business, and one within the folder leads nowhere else.
  expect((await readGltfFile(join(outside, 'room/scene.gltf'))).nodes).toHaveLength(2);
  await expect(readGltfFile(join(folder, 'none.glb'))).rejects.toThrow('no such file');
  await expect(readGltfFile(folder)).rejects.toThrow('is a folder, expected a file');
});

test('addresses that are none, and addresses elsewhere, are named', async () => {
  for (const [uri, problem] of [
    ['%ZZ', 'buffers[0].uri: "%ZZ" has a % that is no percent code; write %25 for a percent sign'],
    ['50%.bin', 'buffers[0].uri: "50%.bin" has a % that is no percent code'],
    ['https://example.org/a.bin', '"https://example.org/a.bin" is an address elsewhere; download it'],
    ['HTTP://example.org', 'is an address elsewhere'],
    ['file:///etc/passwd', 'is an address elsewhere'],
    ['data:application/octet-stream;base64', 'buffers[0].uri: is a data URI without a comma'],
    ['data:application/octet-stream;base64,A', 'buffers[0].uri: is a data URI that cannot be decoded'],
    ['data:,%4', 'buffers[0].uri: is a data URI that cannot be decoded'],
    ['data:,abc', 'buffers[0].byteLength: expected at most the 3 bytes there are'],
  ]) {
    expect(await refusal(uri)).toContain(problem);
  }
});

test('a data URI without base64 is bytes, not text', async () => {
  const { json, binary } = unpackGlb(await writeGlb(panel().document));
  const codes = Array.from(binary, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  json.buffers![0].uri = `DATA:application/gltf-buffer,${codes}`;
  const path = join(folder, 'inline.gltf');
  await writeFile(path, JSON.stringify(json));
  const [primitive] = (await readGltfFile(path)).meshes[0].primitives;
  expect(primitive.positions).toHaveLength(75);
});

test('PNG pixels are exact', async () => {
  const image = { name: 'four', bytes: fourPixels(), mimeType: 'image/png', width: 2, height: 2 };
  const pixels = await decodeImage(image);
  expect('data' in pixels && [...pixels.data]).toEqual([
    255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 255, 255, 255, 255,
  ]);
});
