import { mkdir, mkdtemp, open, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dwm-hash-'));
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** As another process has it: nothing remembered but what is on disk. */
async function fresh() {
  vi.resetModules();
  return import('./fingerprint.ts');
}

const MANY = 65 << 20;

/** A large file, most of it a hole. */
async function large(path: string, byteInTheMiddle: number): Promise<void> {
  const file = await open(path, 'w');
  await file.truncate(MANY);
  await file.write(Uint8Array.of(byteInTheMiddle), 0, 1, MANY / 2);
  await file.close();
}

test('one byte in the middle of large weights makes another hash, whatever their times say', async () => {
  const model = join(folder, 'text_encoder');
  await mkdir(model);
  const weights = join(model, 'model.safetensors');
  await large(weights, 1);
  const time = new Date('2024-01-01');
  await utimes(weights, time, time);
  const first = await (await fresh()).hashWeights(model);
  expect(await (await fresh()).hashWeights(model)).toBe(first);
  // The same size, name and time of writing, as `cp --preserve` leaves it.
  await large(join(folder, 'other'), 2);
  await utimes(join(folder, 'other'), time, time);
  await rename(join(folder, 'other'), weights);
  expect(await (await fresh()).hashWeights(model)).not.toBe(first);
  await writeFile(join(model, 'config.json'), '{}');
  await large(weights, 1);
  expect(await (await fresh()).hashWeights(model)).not.toBe(first);
});

test('hashes of large files that have settled are remembered on disk; a damaged memory is not used', async () => {
  const path = join(folder, 'large.safetensors');
  await large(path, 3);
  const now = Date.now();
  vi.useFakeTimers({ now: now + 60_000, toFake: ['Date'] });
  const hash = await (await fresh()).hashFile(path);
  const memory = join(folder, 'cache/dwm/hashes.json');
  const entries = JSON.parse(await readFile(memory, 'utf8'));
  expect(entries[path].hash).toBe(hash);
  // That it is read shows in a wrong entry being believed.
  const wrong = 'a'.repeat(64);
  await writeFile(memory, JSON.stringify({ [path]: { ...entries[path], hash: wrong } }));
  expect(await (await fresh()).hashFile(path)).toBe(wrong);
  await writeFile(memory, '{"');
  expect(await (await fresh()).hashFile(path)).toBe(hash);
  await large(path, 4);
  expect(await (await fresh()).hashFile(path)).not.toBe(hash);
  vi.useRealTimers();
});

test('a folder of frames is known by their names and contents; what is no file is refused', async () => {
  const { hashVideo } = await fresh();
  const frames = join(folder, 'frames');
  await mkdir(join(frames, 'inner'), { recursive: true });
  for (const name of ['1.png', '2.png']) await writeFile(join(frames, name), name);
  const first = await hashVideo(frames);
  await writeFile(join(frames, '.hidden'), 'x');
  expect(await hashVideo(frames)).toBe(first);
  await rename(join(frames, '1.png'), join(frames, '3.png'));
  expect(await hashVideo(frames)).not.toBe(first);
  await expect(hashVideo('/dev/null')).rejects.toThrow('/dev/null: is not a regular file');
  await rm(join(frames, '2.png'));
  await symlink('inner', join(frames, '2.png'));
  await expect(hashVideo(frames)).rejects.toThrow(/2\.png: is a folder, expected a file/);
});
