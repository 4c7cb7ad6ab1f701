/**
 * The clips of dataset lists, with the files that belong to each: the layout that the original trains from. A
 * list may not reach outside its data root, neither by `..` nor by a link.
 */
import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import type { ExperimentConfig } from '../../training/config.ts';
import { encodedFile } from './encoded.ts';

/** Files of one clip; they need not exist. Latents and embeddings are without extension: .safetensors or .pt. */
export interface Sample {
  /** As the list has it. */
  readonly name: string;
  readonly video: string;
  readonly static: string;
  readonly hand: string;
  readonly prompt: string;
  readonly latents: { readonly video: string; readonly static: string; readonly hand: string };
  readonly promptEmbeds: string;
}

/** The clips of a sample, all of the same moments. */
export const CLIPS = ['video', 'static', 'hand'] as const;
export type ClipName = (typeof CLIPS)[number];

const PROBLEM = 'expected <sample>/videos/<stem>.mp4 relative to data.data_root';

/**
 * @param file list, one clip a line; empty lines and lines starting with # are skipped.
 * @param folder that the lines are relative to.
 * @throws InvalidFileError naming list and line.
 */
export async function readDataset(
  file: string,
  data: ExperimentConfig['data'],
  folder = data.data_root,
): Promise<Sample[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new InvalidFileError(file, `cannot be read (${error.code}); check data.dataset_file`);
  });
  const root = await realpath(folder).catch(() => {
    throw new InvalidFileError(folder, 'no such folder; check data.data_root, or root in data.dataset_file');
  });
  const samples: Sample[] = [];
  for (const [number, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const problem = (why: string) =>
      new InvalidFileError(file, `line ${number + 1} "${line}": ${why}; ${PROBLEM}`, { line: number + 1 });
    const video = resolve(root, line);
    const inside = (path: string) => path.startsWith(root === sep ? sep : root + sep);
    if (line.includes('\0') || !inside(video)) throw problem(`leads outside the data root ${root}`);
    // Clips known by their latents alone have no video.
    const target = await realpath(video).catch(() => video);
    if (!inside(target)) throw problem(`links to ${target}, outside the data root`);
    if (basename(dirname(video)) !== data.video_subdir)
      throw problem(`is not in a folder ${data.video_subdir}/`);
    samples.push(sampleOf(line, video, data));
  }
  if (samples.length === 0) throw new InvalidFileError(file, `lists no clips; ${PROBLEM}`);
  return samples;
}

/**
 * Looks for every file that a run will ask for, before its first step rather than days into it.
 * @param needs what a sample needs; encoded files come without an extension.
 * @throws InvalidFileError naming the first that is missing, and how many are.
 */
export async function checkFiles(
  samples: readonly Sample[],
  needs: (sample: Sample) => { readonly files?: readonly string[]; readonly encoded?: readonly string[] },
  hint: string,
): Promise<void> {
  const missing: string[] = [];
  let total = 0;
  for (const sample of samples) {
    const { files = [], encoded = [] } = needs(sample);
    total += files.length + encoded.length;
    for (const path of files) if (!(await stat(path).catch(() => undefined))?.isFile()) missing.push(path);
    for (const path of encoded) if (!(await encodedFile(path))) missing.push(`${path}.safetensors (or .pt)`);
  }
  if (missing.length === 0) return;
  const others = missing.length > 1 ? ` (and ${missing.length - 1} more of ${total})` : '';
  throw new InvalidFileError(missing[0], `no such file${others}; ${hint}`, {
    missing: missing.length,
    total,
  });
}

function sampleOf(name: string, video: string, data: ExperimentConfig['data']): Sample {
  const folder = dirname(dirname(video));
  const file = basename(video);
  const stem = file.replace(/\.[^.]+$/, '');
  return {
    name,
    video,
    static: join(folder, data.static_video_subdir, file),
    hand: join(folder, data.hand_video_subdir, file),
    prompt: join(folder, data.prompt_subdir, `${stem}.txt`),
    latents: {
      video: join(folder, data.video_latents_subdir, stem),
      static: join(folder, data.static_video_latents_subdir, stem),
      hand: join(folder, data.hand_video_latents_subdir, stem),
    },
    promptEmbeds: join(folder, data.prompt_embeds_subdir, stem),
  };
}
