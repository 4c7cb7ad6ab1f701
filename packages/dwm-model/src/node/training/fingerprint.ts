/**
 * Names for contents, by which encoded clips and prompts are found again: SHA-256 of every byte. A safetensors
 * header says names and shapes only, and ends of a file may be equal in two fine-tunings, so nothing less will
 * do. Weights of gigabytes take many seconds, so their hashes are remembered on disk, as long as nothing about
 * the file changes: not its place, size, inode, time of writing, nor the time of change, which no program can set.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { InvalidFileError } from '@dwm/core-tensor';
import { fileProblem, writeFileAtomic } from '@dwm/core-tensor/node';

/** Smaller files are hashed in less than a tenth of a second. */
const WORTH_REMEMBERING = 64 << 20;

/** A file written this recently could change once more without its times showing it. */
const SETTLED_MS = 3000;

export const hashOf = (...parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex');

interface Hash {
  readonly version: string;
  readonly hash: string;
}

/** Of this process: clips are asked for every epoch. */
const hashes = new Map<string, Hash>();

/** Of the whole file. @throws InvalidFileError where it cannot be read. */
export async function hashFile(path: string): Promise<string> {
  const info = await stat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    throw new InvalidFileError(path, error.code === 'ENOENT' ? 'no such file' : fileProblem(error));
  });
  // Reading from a pipe waits for ever.
  if (!info.isFile())
    throw new InvalidFileError(
      path,
      info.isDirectory() ? 'is a folder, expected a file' : 'is not a regular file',
    );
  const version = `${info.size} ${info.ino} ${info.mtimeNs} ${info.ctimeNs}`;
  const place = resolve(path);
  const remember = info.size >= WORTH_REMEMBERING;
  const known = hashes.get(place) ?? (remember ? (await remembered())[place] : undefined);
  if (known?.version === version) {
    hashes.set(place, known);
    return known.hash;
  }
  const sha = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), sha);
  const entry = { version, hash: sha.digest('hex') };
  if (Date.now() - Number(info.ctimeMs) > SETTLED_MS) {
    hashes.set(place, entry);
    if (remember) await rememberAs(place, entry);
  }
  return entry.hash;
}

/** Of a video: a file, or a folder of frames, whose order their names say. @throws InvalidFileError as `hashFile`. */
export async function hashVideo(path: string): Promise<string> {
  if (!(await stat(path).catch(() => undefined))?.isDirectory()) return hashFile(path);
  const entries = await readdir(path, { withFileTypes: true });
  const frames = entries.filter((entry) => !entry.name.startsWith('.') && !entry.isDirectory());
  return hashFiles(
    path,
    frames.map(({ name }) => name),
  );
}

/** Of a folder of weights, with their configs and vocabularies. */
export async function hashWeights(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /\.(safetensors|json|model)$/.test(name));
  return hashFiles(folder, names);
}

async function hashFiles(folder: string, names: readonly string[]): Promise<string> {
  const parts: string[] = [];
  for (const name of [...names].sort()) parts.push(name, await hashFile(join(folder, name)));
  return hashOf(...parts);
}

const rememberedPath = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dwm', 'hashes.json');

/** What is on disk; nothing where it is missing or damaged. */
async function remembered(): Promise<Record<string, Hash>> {
  try {
    const found: Record<string, Hash> = JSON.parse(await readFile(rememberedPath(), 'utf8'));
    return Object.fromEntries(
      Object.entries(found).filter(([, entry]) => /^[0-9a-f]{64}$/.test(entry?.hash)),
    );
  } catch {
    return {};
  }
}

/** A cache folder that cannot be written costs time at the next start, no more. */
async function rememberAs(place: string, entry: Hash): Promise<void> {
  const text = JSON.stringify({ ...(await remembered()), [place]: entry }, undefined, 1);
  await writeFileAtomic(rememberedPath(), text).catch(() => {});
}
