/** Names for contents, by which encoded clips and prompts are found again. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { InvalidFileError } from '@dwm/core-tensor';

const SAMPLE = 1 << 20;

export const hashOf = (...parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex');

/** Of the whole file. Remembered while the file stays as it is: clips are asked for every epoch. */
export async function hashFile(path: string): Promise<string> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new InvalidFileError(
      path,
      error.code === 'ENOENT' ? 'no such file' : `cannot be read (${error.code})`,
    );
  });
  const version = `${info.size} ${info.mtimeMs}`;
  const known = hashes.get(path);
  if (known?.version === version) return known.hash;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const digest = hash.digest('hex');
  hashes.set(path, { version, hash: digest });
  return digest;
}

const hashes = new Map<string, { version: string; hash: string }>();

/** Of a folder of weights: every byte if they are few, else size, first and last megabyte of each file. */
export async function hashWeights(folder: string, whole: boolean): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /\.(safetensors|json|model)$/.test(name)).sort();
  const parts: string[] = [];
  for (const name of names) {
    const path = join(folder, name);
    parts.push(name, whole ? await hashFile(path) : await hashEnds(path));
  }
  return hashOf(...parts);
}

async function hashEnds(path: string): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const hash = createHash('sha256').update(String(size));
    for (const at of [0, Math.max(0, size - SAMPLE)]) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(SAMPLE), 0, SAMPLE, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest('hex');
  } finally {
    await handle.close();
  }
}
