/**
 * A dataset cut into lists to train on, to validate with and to test on, as the original's script cuts it: clips of one
 * action stay on one side of the test, and the seed gives the very lists that it gives there.
 */
import { realpath, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import { PythonRandom } from '../../training/data/python-random.ts';
import { clipsIn, stemOf, VIDEO_ENDINGS } from './clips-in.ts';
import { type Layout, sampleFolders } from './encode-jobs.ts';
import { ENCODED_EXTENSIONS } from './encoded.ts';

/** What training needs beside a clip. */
export const REQUIRED = [
  'video_latents',
  'hand_video_latents',
  'static_video_latents',
  'prompt_embeds_rewrite',
];

/** The clips of each part of a data set, as paths. */
export interface Split {
  readonly train: readonly string[];
  readonly val: readonly string[];
  readonly test: readonly string[];
}

/** A clip that lacks some of its files. */
export interface InvalidSample {
  readonly video: string;
  /** Folders in which it has no file. */
  readonly missing: readonly string[];
}

/** Numbers in names by their value: 2 before 10. */
function natural(a: string, b: string): number {
  const parts = (text: string) => text.split(/(\d+)/);
  const [x, y] = [parts(a), parts(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    if (x[i] === y[i]) continue;
    const [m, n] = [Number(x[i]), Number(y[i])];
    // Odd ones are numbers.
    if (i % 2 === 1 && m !== n) return m - n;
    if (i % 2 === 0) return x[i] < y[i] ? -1 : 1;
  }
  return x.length - y.length;
}

/** Every clip of a data root, in natural order. */
export async function findVideos(root: string, layout: Layout): Promise<string[]> {
  const videos: string[] = [];
  for (const folder of await sampleFolders(root, layout))
    videos.push(...(await clipsIn(join(folder, 'videos'))));
  return videos.sort(natural);
}

/** Which of the clips have all that training needs, encoded or not, and what the others lack. */
export async function checkSamples(
  videos: readonly string[],
  required: readonly string[] = REQUIRED,
): Promise<{ valid: string[]; invalid: InvalidSample[] }> {
  const valid: string[] = [];
  const invalid: InvalidSample[] = [];
  const endings = [...ENCODED_EXTENSIONS, ...VIDEO_ENDINGS, '.txt'];
  const entry = (path: string) => stat(path).catch(() => undefined);
  for (const video of videos) {
    const missing: string[] = [];
    for (const folder of required) {
      const path = join(dirname(dirname(video)), folder, stemOf(video));
      const files = await Promise.all(endings.map((end) => entry(path + end)));
      const there = (await entry(path))?.isDirectory() || files.some((file) => file?.isFile());
      if (!there) missing.push(folder);
    }
    if (missing.length > 0) invalid.push({ video, missing });
    else valid.push(video);
  }
  return { valid, invalid };
}

/** Paths as lists have them: relative to `base`, or as they are where they lie outside. */
export async function relativeTo(base: string, paths: readonly string[]): Promise<string[]> {
  const root = await realpath(base);
  return Promise.all(
    paths.map(async (path) => {
      const inside = relative(root, await realpath(path));
      return inside.startsWith('..') ? path : inside.split(sep).join('/');
    }),
  );
}

interface SplitOptions {
  readonly testRatio: number;
  readonly valRatio: number;
  readonly seed: number;
}

/** Shares of a list, whatever the clips are of. */
function splitClips(paths: readonly string[], { testRatio, valRatio, seed }: SplitOptions): Split {
  const random = new PythonRandom(seed);
  const list = [...paths];
  random.shuffle(list);
  const n = list.length;
  if (n === 0) return { train: [], val: [], test: [] };
  let test = Math.max(1, Math.trunc(n * testRatio));
  let val = Math.max(1, Math.trunc(n * valRatio));
  if (test + val >= n) {
    test = n >= 3 ? 1 : 0;
    val = n >= 2 ? 1 : 0;
  }
  return { test: list.slice(0, test), val: list.slice(test, test + val), train: list.slice(test + val) };
}

/** Whole actions to test on; of every other action, a share of its clips to validate with. */
function splitActions(paths: readonly string[], options: SplitOptions): Split {
  const actions = new Map<string, string[]>();
  for (const path of paths) {
    const parts = path.split('/').filter((part) => part !== '');
    if (path.startsWith('/')) parts.unshift('/');
    if (parts.length < 5) continue;
    const key = `${parts.at(-4)}_${parts.at(-3)}`;
    actions.set(key, [...(actions.get(key) ?? []), path]);
  }
  if (actions.size <= 1) return splitClips([...actions.values()].flat(), options);
  const random = new PythonRandom(options.seed);
  const names = [...actions.keys()];
  random.shuffle(names);
  const testing = Math.max(1, Math.trunc(names.length * options.testRatio));
  const test = names.slice(0, testing).flatMap((name) => actions.get(name)!);
  const train: string[] = [];
  const val: string[] = [];
  for (const name of names.slice(testing)) {
    const list = [...actions.get(name)!];
    random.shuffle(list);
    const count = list.length > 1 ? Math.max(1, Math.trunc(list.length * options.valRatio)) : 0;
    val.push(...list.slice(0, count));
    train.push(...list.slice(count));
  }
  return { train, val, test };
}

/** Splits a data set's clips into train, val and test so that no scene is in two of them. */
export const splitDataset = (paths: readonly string[], layout: Layout, options: SplitOptions): Split =>
  layout === 'trumans' ? splitActions(paths, options) : splitClips(paths, options);

/** Writes `train.txt`, `val.txt`, `test.txt`, their counts and, where there are any, the samples that lack something. */
export async function writeSplit(
  folder: string,
  split: Split,
  invalid: readonly InvalidSample[],
): Promise<string[]> {
  const written: string[] = [];
  const write = async (name: string, text: string) => {
    await writeFileAtomic(join(folder, name), text);
    written.push(join(folder, name));
  };
  for (const name of ['train', 'val', 'test'] as const) {
    const lines = [...split[name]].sort((a, b) => (a < b ? -1 : 1));
    await write(`${name}.txt`, lines.map((line) => `${line}\n`).join(''));
  }
  const counts = {
    total_videos: split.train.length + split.val.length + split.test.length,
    train_videos: split.train.length,
    val_videos: split.val.length,
    test_videos: split.test.length,
  };
  await write('split_metadata.json', JSON.stringify(counts, undefined, 2));
  if (invalid.length > 0) await write('invalid_samples.json', JSON.stringify(invalid, undefined, 2));
  return written;
}
