/**
 * The clips of dataset lists, with the files that belong to each: the layout that the original trains from. A
 * list may not reach outside its data root: not by `..`, and by a link only where that is asked for.
 */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';
import { fileProblem, reach, readRegularText } from '@dwm/core-tensor/node';
import type { ExperimentConfig } from '../../training/config.ts';
import { ENCODED_EXTENSIONS, encodedFile } from './encoded.ts';

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
  const text = await readRegularText(file).catch((error: NodeJS.ErrnoException) => {
    throw new InvalidFileError(file, `${fileProblem(error)}; check data.dataset_file`);
  });
  const root = await realpath(folder).catch(() => {
    throw new InvalidFileError(folder, 'no such folder; check data.data_root, or root in data.dataset_file');
  });
  const samples: Sample[] = [];
  for (const [number, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const field = `line ${number + 1}`;
    const inRoot = (path: string) =>
      reach(path, {
        root,
        file,
        field,
        followLinks: data.follow_links,
        fix: 'copy the file into the data root, or set `followLinks`',
      });
    await inRoot(line);
    const video = join(root, line);
    if (basename(dirname(video)) !== data.video_subdir) {
      throw new InvalidFileError(
        file,
        `${field} ${quote(line)} is not in a folder ${data.video_subdir}/; ${PROBLEM}`,
        { field },
      );
    }
    const sample = sampleOf(line, video, data);
    // Those that are not there, since a run may do without, are looked at all the same.
    for (const path of filesOf(sample)) await inRoot(relative(root, path).replaceAll(sep, '/'));
    samples.push(sample);
  }
  if (samples.length === 0) throw new InvalidFileError(file, `lists no clips; ${PROBLEM}`);
  return samples;
}

/** The clips of every dataset list, and what those that have matches come in pairs with. */
export async function readDatasets(
  data: ExperimentConfig['data'],
): Promise<{ datasets: Sample[][]; matched: Map<Sample, Sample[]> }> {
  const datasets: Sample[][] = [];
  const matched = new Map<Sample, Sample[]>();
  for (const { path, root, matched: lists } of data.dataset_file) {
    const samples = await readDataset(path, data, root);
    datasets.push(samples);
    for (const other of lists) {
      const byName = new Map((await readDataset(other.path, data, other.root)).map((one) => [one.name, one]));
      const known = samples.filter(({ name }) => byName.has(name));
      if (known.length === 0)
        throw new InvalidFileError(
          other.path,
          `has no clip of ${path}; clips match by their lines, so make both with the same seeds, or leave it out of matched in data.dataset_file`,
        );
      for (const one of known) matched.set(one, [...(matched.get(one) ?? []), byName.get(one.name)!]);
    }
  }
  return { datasets, matched };
}

/** What a run asks for of a sample. */
export interface Needs {
  readonly files?: readonly string[];
  /** Or folders of frames. */
  readonly videos?: readonly string[];
  /** Without extension. */
  readonly encoded?: readonly string[];
}

/**
 * Looks for every file that a run will ask for, before its first step rather than days into it.
 * @param needs what a sample needs; encoded files come without an extension.
 * @throws InvalidFileError naming the first that is missing, and how many are.
 */
export async function checkFiles(
  samples: readonly Sample[],
  needs: (sample: Sample) => Needs,
  hint: string,
): Promise<void> {
  const entry = (path: string) => stat(path).catch(() => undefined);
  const missing: string[] = [];
  let total = 0;
  for (const sample of samples) {
    const { files = [], videos = [], encoded = [] } = needs(sample);
    total += files.length + videos.length + encoded.length;
    for (const path of files) if (!(await entry(path))?.isFile()) missing.push(path);
    for (const path of videos) {
      const found = await entry(path);
      if (!found?.isFile() && !found?.isDirectory()) missing.push(path);
    }
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

/** Every file that a run may ask for. */
function filesOf({ video, static: still, hand, prompt, latents, promptEmbeds }: Sample): string[] {
  const encoded = [latents.video, latents.static, latents.hand, promptEmbeds];
  return [
    ...[video, still, hand, prompt],
    ...encoded.flatMap((path) => ENCODED_EXTENSIONS.map((extension) => path + extension)),
  ];
}
