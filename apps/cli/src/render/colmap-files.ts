/**
 * Which files of a COLMAP model are meant. A folder stands for the model in it, either of its two files for both. Where a folder holds the
 * model in both encodings the binary one is taken, as COLMAP itself does. Points, rigs and frames are passed over.
 */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import type { Reporter } from '../report.ts';

const MODEL_FILE = /(?:^|[\\/])(?:cameras|images)\.(bin|txt)$/;
const BESIDE_IT = /(?:^|[\\/])(?:(?:points3D|rigs|frames)\.(?:bin|txt)|project\.ini)$/;

type Encoding = 'bin' | 'txt';

const pair = (folder: string, encoding: Encoding) => [
  join(folder, `cameras.${encoding}`),
  join(folder, `images.${encoding}`),
];

const isFile = async (path: string) => (await stat(path).catch(() => undefined))?.isFile() === true;

/** The files to read for `paths`. @throws InvalidFileError for a folder without a model. */
export async function withColmapFiles(paths: readonly string[], reporter: Reporter): Promise<string[]> {
  const others: string[] = [];
  const models = new Map<string, Encoding>();
  for (const path of paths) {
    const encoding = MODEL_FILE.exec(path)?.[1] as Encoding | undefined;
    if (encoding) models.set(dirname(path), models.get(dirname(path)) === 'bin' ? 'bin' : encoding);
    else if ((await stat(path).catch(() => undefined))?.isDirectory())
      models.set(path, await encodingIn(path));
    else if (paths.length === 1 || !BESIDE_IT.test(path)) others.push(path);
  }
  for (const [folder, encoding] of models) {
    const [cameras, images] = pair(folder, 'txt');
    const both = paths.includes(folder) || paths.includes(cameras) || paths.includes(images);
    if (encoding === 'bin' && both && ((await isFile(cameras)) || (await isFile(images))))
      reporter.say(
        `${folder}: the binary model is read, as COLMAP does; for the text one name ${cameras} alone`,
      );
  }
  return [...others, ...[...models].flatMap(([folder, encoding]) => pair(folder, encoding))];
}

async function encodingIn(folder: string): Promise<Encoding> {
  const found: Record<Encoding, number> = { bin: 0, txt: 0 };
  for (const encoding of ['bin', 'txt'] as const)
    for (const path of pair(folder, encoding)) if (await isFile(path)) found[encoding]++;
  // Half a model is for its reader to report.
  if (found.bin === 2 || found.bin > found.txt) return 'bin';
  if (found.txt > 0) return 'txt';
  const elsewhere = ['sparse/0/cameras.bin', 'sparse/0/cameras.txt', '0/cameras.bin', 'sparse/cameras.bin'];
  for (const name of [...elsewhere, 'transforms.json']) {
    const path = join(folder, name);
    if (await isFile(path))
      throw new InvalidFileError(
        folder,
        `holds no COLMAP model; pass ${name.endsWith('.json') ? path : dirname(path)}`,
      );
  }
  throw new InvalidFileError(
    folder,
    'holds no COLMAP model, expected cameras.bin and images.bin, or cameras.txt and images.txt; it is usually in sparse/0',
  );
}
