/** Writing a generated clip: the video, comparisons, a contact sheet and the record of how it was made. */
import { mkdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isObject } from '@dwm/core-tensor/files';
import { readRegularText, saveSafetensors, whileLocked, writeFileAtomic } from '@dwm/core-tensor/node';
import type { Generated } from '@dwm/dwm-model';
import { contactSheet, type Frames, writePng, writeVideo } from '@dwm/media/node';
import { compare } from './comparison.ts';
import type { ClipVideos } from './inputs.ts';
import type { Shard, Share } from './jobs.ts';

interface ClipOutputs {
  readonly video: string;
  readonly comparison?: string;
  readonly fullComparison: string;
  readonly contactSheet: string;
  /** The video once more under the original's other name, and its prompt. */
  readonly copies?: { readonly generated: string; readonly prompt: string };
}

/**
 * Output paths of one clip. `stem` is a path without extension.
 * @param copies whether the original's second video and the prompt are written too.
 */
export function outputPaths(stem: string, hasTruth: boolean, copies = false): ClipOutputs {
  return {
    ...(copies && { copies: { generated: `${stem}_generated.mp4`, prompt: `${stem}.txt` } }),
    video: `${stem}.mp4`,
    comparison: hasTruth ? `${stem}_comparison.mp4` : undefined,
    fullComparison: `${stem}_full_comparison.mp4`,
    contactSheet: `${stem}_contact_sheet.png`,
  };
}

/**
 * Writes a clip and its record. Each file appears whole or not at all, the clip itself last, so that
 * `--skip-existing` never takes an unfinished clip for a finished one.
 * @param record what to enter under the clip's name into a metadata file.
 */
export async function writeClip(
  paths: ClipOutputs,
  generated: Frames,
  { staticVideo, handVideo, truth }: ClipVideos,
  record?: { file: string; entry: unknown },
  prompt = '',
): Promise<void> {
  await mkdir(dirname(paths.video), { recursive: true });
  const rows = [
    { label: 'static', frames: staticVideo },
    { label: 'hands', frames: handVideo },
    { label: 'generated', frames: generated },
    ...(truth ? [{ label: 'truth', frames: truth }] : []),
  ];
  await writePng(paths.contactSheet, contactSheet(rows, {}));
  const clips = rows.map(({ frames }) => frames);
  await writeVideo(paths.fullComparison, compare(clips, generated));
  if (paths.comparison) await writeVideo(paths.comparison, compare(clips.slice(2), generated));
  if (record) await recordMetadata(record.file, paths.video, record.entry);
  if (paths.copies) {
    await writeFileAtomic(paths.copies.prompt, prompt);
    await writeVideo(paths.copies.generated, generated);
    await writeFileAtomic(paths.video, await readFile(paths.copies.generated));
  } else await writeVideo(paths.video, generated);
}

/** The exact result before encoding: `video` [1, F, H, W, 3] in [0, 1] and `latents` [1, F', C, h, w]. */
export async function saveTensors(
  path: string,
  { exact, latentShape, frames, height, width }: Generated,
): Promise<void> {
  if (!exact) throw new Error('the clip was not asked for exactly');
  await mkdir(dirname(path), { recursive: true });
  await saveSafetensors(
    path,
    new Map([
      ['video', { dtype: 'F32' as const, shape: [1, frames, height, width, 3], data: exact.video }],
      ['latents', { dtype: 'F32' as const, shape: latentShape, data: exact.latents }],
    ]),
  );
}

/** Where latents of a clip are kept that could not be decoded. @param name of the clip, without extension. */
export const keptLatents = (name: string): string => `${name}_latents.safetensors`;

/** Keeps latents that could not be decoded. */
export async function saveLatents(path: string, shape: readonly number[], data: Float32Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await saveSafetensors(path, new Map([['latents', { dtype: 'F32' as const, shape, data }]]));
}

/** Adds a clip's record to the `metadata.json` beside it. */
export async function recordMetadata(file: string, clip: string, entry: unknown): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await whileLocked(file, async () => {
    const { clips = {}, ...run } = await readRecord(file);
    const all = { ...(clips as object), [basename(clip)]: entry };
    await writeFileAtomic(file, `${JSON.stringify({ ...run, clips: all }, undefined, 2)}\n`);
  });
}

/** Writes what is true of a whole run into `metadata.json`, under the original's keys; clips' records stay. */
export async function recordRun(file: string, run: Readonly<Record<string, unknown>>): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await whileLocked(file, async () => {
    const { clips } = await readRecord(file);
    const all = { ...run, ...(clips !== undefined && { clips }) };
    await writeFileAtomic(file, `${JSON.stringify(all, undefined, 2)}\n`);
  });
}

/** What is recorded so far. A damaged record is replaced: the clips themselves are whole. */
async function readRecord(file: string): Promise<Record<string, unknown>> {
  try {
    const found: unknown = JSON.parse(await readRegularText(file));
    return isObject(found) ? { ...found, clips: isObject(found.clips) ? found.clips : undefined } : {};
  } catch {
    return {};
  }
}

/** Where the record of a clip goes; processes that share a folder keep records of their own. */
export const metadataPath = (clip: string, share: Share): string =>
  join(dirname(clip), `metadata${shareName(share)}.json`);

/** `.shard-0-of-2`; nothing where one process makes all. */
export function shareName({ shard, chunk }: Share): string {
  const part = (name: string, { rank, of }: Shard) => (of > 1 ? `.${name}-${rank}-of-${of}` : '');
  return part('chunk', chunk) + part('shard', shard);
}
