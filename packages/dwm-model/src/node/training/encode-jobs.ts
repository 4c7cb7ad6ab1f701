/** What there is to encode: the files of dataset lists, or of the folders of a data root, as the original's script walks them. */
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { fileProblem, isAddress, reach } from '@dwm/core-tensor/node';
import { clipsIn, stemOf } from './clips-in.ts';
import type { ClipName, Sample } from './dataset.ts';
import type { FamilyTraining } from './family-training.ts';

/** Kinds of files, by the original's names. */
export const MODALITIES = ['videos', 'static_videos', 'hand_videos', 'prompts'] as const;
/** A kind of file of a sample. */
export type Modality = (typeof MODALITIES)[number];

const CLIP_OF: Readonly<Record<Exclude<Modality, 'prompts'>, ClipName>> = {
  videos: 'video',
  static_videos: 'static',
  hand_videos: 'hand',
};

/** A file to encode, and where the result goes. */
export interface EncodeJob {
  readonly modality: Modality;
  readonly source: string;
  /** Of a clip, its first frame alone is seen; the others are grey. */
  readonly firstFrame?: true;
  /** Without extension. */
  readonly target: string;
}

/** Files of the clips of lists, each once. */
export function jobsOfSamples(samples: readonly Sample[], modalities: readonly Modality[]): EncodeJob[] {
  const jobs = new Map<string, EncodeJob>();
  for (const modality of modalities) {
    for (const sample of samples) {
      const clip = modality === 'prompts' ? undefined : CLIP_OF[modality];
      const source = clip === undefined ? sample.prompt : sample[clip];
      const target = clip === undefined ? sample.promptEmbeds : sample.latents[clip];
      jobs.set(target, { modality, source, target });
    }
  }
  return [...jobs.values()];
}

/** Layouts that the original's script knows: `<scene>/<action>` and `SingleHand|DoubleHand/<scene>`. */
export const LAYOUTS = ['trumans', 'taste_rob'] as const;
/** How a data set's folders are laid out. */
export type Layout = (typeof LAYOUTS)[number];

const HANDS = ['SingleHand', 'DoubleHand'];

async function foldersIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new InvalidFileError(
      path,
      isAddress(path)
        ? 'is an address, expected a folder of this machine; copy it to one first'
        : `${fileProblem(error)}; check \`dataRoot\``,
    );
  });
  return entries
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => name)
    .sort();
}

/** Folders of samples below a data root, in the order of their names. */
export async function sampleFolders(root: string, layout: Layout): Promise<string[]> {
  const outer = await foldersIn(root);
  const found: string[] = [];
  for (const name of layout === 'taste_rob' ? HANDS.filter((hand) => outer.includes(hand)) : outer) {
    for (const inner of await foldersIn(join(root, name)).catch(() => []))
      found.push(join(root, name, inner));
  }
  return found;
}

/** The names in `folder` that end so, sorted; none where there is no such folder. */
export async function filesIn(folder: string, extension: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [] as string[]);
  return names
    .filter((name) => name.endsWith(extension) && !name.startsWith('.'))
    .sort()
    .map((name) => join(folder, name));
}

/** @throws InvalidFileError for a path below `root` that a link leads out of it, unless links are followed. */
export async function checkInside(root: string, path: string, followLinks = false): Promise<void> {
  const fix = 'copy what it links to, or set `followLinks`';
  const below = relative(root, path).replaceAll(sep, '/');
  await reach(below, { root, file: root, field: 'file', followLinks, fix });
}

/**
 * Every file of a data root that training can take encoded.
 * @param family whose folders they are.
 * @throws InvalidFileError for files, and folders to write to, that a link leads out of the root.
 */
export async function jobsOfFolders(
  root: string,
  layout: Layout,
  modalities: readonly Modality[],
  promptSubdir: string,
  { encodedSuffix: suffix, firstFrameFolder }: Pick<FamilyTraining, 'encodedSuffix' | 'firstFrameFolder'>,
  followLinks = false,
): Promise<EncodeJob[]> {
  const embeds =
    promptSubdir === 'prompts_rewrite' ? 'prompt_embeds_rewrite' : `prompt_embeds_${promptSubdir}`;
  const places: Readonly<Record<Modality, readonly [from: string, to: string]>> = {
    videos: ['videos', `video_latents${suffix}`],
    static_videos: ['videos_static', `static_video_latents${suffix}`],
    hand_videos: ['videos_hands', `hand_video_latents${suffix}`],
    prompts: [promptSubdir, `${embeds}${suffix}`],
  };
  const folders = await sampleFolders(root, layout);
  const jobs: EncodeJob[] = [];
  for (const modality of modalities) {
    const [from, to] = places[modality];
    for (const folder of folders) {
      const inside = join(folder, from);
      for (const source of modality === 'prompts' ? await filesIn(inside, '.txt') : await clipsIn(inside)) {
        const targetIn = (name: string) => join(folder, name, stemOf(source));
        const job = { modality, source, target: targetIn(to) };
        const alone =
          modality === 'videos' && firstFrameFolder !== undefined
            ? [{ ...job, firstFrame: true as const, target: targetIn(firstFrameFolder) }]
            : [];
        for (const each of [job, ...alone]) {
          for (const path of [each.source, each.target]) await checkInside(root, path, followLinks);
          jobs.push(each);
        }
      }
    }
  }
  return jobs;
}

/** A process's share: of each kind, every `of`-th from `rank` on. */
export function shardJobs(jobs: readonly EncodeJob[], rank: number, of: number): EncodeJob[] {
  const counts = new Map<Modality, number>();
  return jobs.filter(({ modality }) => {
    const nth = counts.get(modality) ?? 0;
    counts.set(modality, nth + 1);
    return nth % of === rank;
  });
}
