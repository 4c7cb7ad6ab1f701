/**
 * Encoding clips and captions ahead of training, as the original's script does, which is not as its training loads
 * clips: frames spread over the whole clip, no resize, no tiles, the first line of a caption. A file that cannot be
 * encoded is noted, and the rest goes on.
 */
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { type Device, DeviceLostError } from '@dwm/core-tensor';
import { writeTorchFile } from '@dwm/core-tensor/files';
import { isDiskFull, openDirectory, withOutput, writeFileAtomic } from '@dwm/core-tensor/node';
import { familyOf } from '../../families/index.ts';
import type { EncodeJob, Modality } from './encode-jobs.ts';
import { type Encoded, encodedFrom, storedTensor, writeEncoded } from './encoded.ts';
import { type ReadClip, readFirstLine } from './encoder.ts';
import { Prefetch } from './prefetch.ts';
import { SampleEncoder } from './sample-encoder.ts';
import { type EncodingScript, ScriptEncoder, type ScriptOptions } from './script-encoder.ts';
import { trainingOf } from './trainings.ts';

/** Options of `encodeFiles`. */
export interface EncodeOptions {
  readonly jobs: readonly EncodeJob[];
  /** Folder of the model whose VAE and text encoder are used. */
  readonly model: string;
  /** Frames of a clip, 4k + 1. */
  readonly frames: number;
  /** Size that training wants its clips to have, for a word where they have another. */
  readonly size?: { readonly height: number; readonly width: number };
  /** Ours, with what it was made from in its header, or the original's. */
  readonly format: 'safetensors' | 'pt';
  /** Encodes what is there already too. */
  readonly overwrite?: boolean;
  /** Folders that are written to. */
  readonly roots: readonly string[];
  /** This process's part of the work, where several share it. */
  readonly share?: string;
  /** Deals jobs out, a job at a time, to processes that share all of them; runs `encode` for those of this process. */
  readonly each?: EachJob;
  readonly openDevice: () => Promise<Device>;
  readonly readClip: ReadClip;
  readonly signal?: AbortSignal;
  readonly onLoading?: (part: string, done: number, total: number) => void;
  /** After each file, those left alone included. */
  readonly onFile?: (file: string, encoded: boolean, done: number, total: number) => void;
  readonly warn?: (text: string) => void;
}

/**
 * @param isDone whether nothing has to be encoded.
 * @param encode one job; rejects where it cannot be.
 * @returns how many files were written.
 */
type EachJob = (
  isDone: (job: EncodeJob) => Promise<boolean>,
  encode: (job: EncodeJob) => Promise<void>,
) => Promise<number>;

/** A file that was not encoded. */
export interface EncodeFailure {
  readonly modality: Modality;
  readonly source: string;
  readonly reason: string;
}

/** What was encoded. */
export interface EncodeResult {
  readonly written: number;
  readonly total: number;
  readonly failures: readonly EncodeFailure[];
}

/** What is read of a file, and what it was made from. */
interface Ready {
  readonly key: string;
  /** Undefined where the file is there already. */
  readonly fresh?: { readonly encode: () => Promise<Encoded>; readonly from?: Record<string, string> };
  readonly problem?: string;
}

/** Clips decoded ahead of the device's turn. */
const AHEAD = 4;

async function scriptOf(model: string, options: ScriptOptions): Promise<EncodingScript> {
  const { encodes } = trainingOf(await familyOf(await openDirectory(model)), model);
  return encodes.kind === 'samples' ? new SampleEncoder(options, encodes.files) : new ScriptEncoder(options);
}

/** @throws what stops every file: no model, a lost device, a full disk, the signal, another process that encodes the same. */
export async function encodeFiles(options: EncodeOptions): Promise<EncodeResult> {
  // Encoded files lie beside the clips.
  if (options.each) return encodeAll(options);
  let work = () => encodeAll(options);
  for (const root of new Set(options.roots.map((path) => resolve(path)))) {
    const inner = work;
    work = () => withOutput(root, { name: options.share }, inner);
  }
  return work();
}

async function encodeAll(options: EncodeOptions): Promise<EncodeResult> {
  const { jobs, model, signal, format } = options;
  let device: Promise<Device> | undefined;
  const encoder = await scriptOf(model, {
    model,
    frames: options.frames,
    size: options.size,
    readClip: options.readClip,
    warn: options.warn,
    onLoading: options.onLoading,
    device: () => {
      device ??= options.openDevice();
      return device;
    },
  });
  /** The name of what a job's file is made from, and the caption, where it is one. */
  const keyOf = async ({
    modality,
    source,
    firstFrame,
  }: EncodeJob): Promise<{ key: string; caption?: string }> => {
    if (modality !== 'prompts') return { key: await encoder.clipKey(source, firstFrame) };
    const caption = await readFirstLine(source);
    return { key: await encoder.promptKey(caption), caption };
  };
  const isEncoded = async ({ modality, source, target }: EncodeJob, key: string) => {
    const before = modality !== 'prompts' && encoder.keyBefore ? () => encoder.keyBefore!(source) : undefined;
    return isKnown(`${target}.${format}`, key, options, before);
  };
  const read = async (job: EncodeJob): Promise<Ready> => {
    const { key, caption } = await keyOf(job);
    if (await isEncoded(job, key)) return { key };
    if (caption !== undefined) return { key, fresh: { encode: () => encoder.encodePrompt(caption) } };
    const { clip, length } = await encoder.readClip(job.source);
    const encode = () => encoder.encodeClip(clip, key, job.firstFrame);
    return { key, fresh: { encode, from: { frames: String(length) } } };
  };
  const save = async ({ target }: EncodeJob, key: string, { encode, from }: NonNullable<Ready['fresh']>) =>
    write(`${target}.${format}`, await encode(), { key, ...from });
  if (options.each) {
    // What is known once stays so: others write each file once.
    const known = new Set<string>();
    const isDone = async (job: EncodeJob) => {
      if (known.has(job.target)) return true;
      const done = await keyOf(job)
        .then(({ key }) => isEncoded(job, key))
        .catch(() => false);
      if (done) known.add(job.target);
      return done;
    };
    try {
      const written = await options.each(isDone, async (job) => {
        const { key, fresh } = await read(job);
        if (!fresh) return;
        await encoder.load(job.modality);
        await save(job, key, fresh);
      });
      return { written, total: jobs.length, failures: [] };
    } finally {
      (await device?.catch(() => undefined))?.destroy();
    }
  }
  const ahead = new Prefetch(
    0,
    AHEAD,
    async (index): Promise<Ready | undefined> => {
      const job = jobs[index];
      if (!job || signal?.aborted) return undefined;
      return read(job).catch((error) => ({ key: '', problem: reasonOf(error) }));
    },
    { overlap: true },
  );
  let written = 0;
  const failures: EncodeFailure[] = [];
  try {
    for (const [done, job] of jobs.entries()) {
      const { modality, source, target } = job;
      signal?.throwIfAborted();
      const next = await ahead.take();
      signal?.throwIfAborted();
      let { problem } = next ?? {};
      if (next?.fresh) {
        // A model that cannot be loaded is no fault of the file's.
        await encoder.load(modality);
        try {
          await save(job, next.key, next.fresh);
          written++;
        } catch (error) {
          if (error instanceof DeviceLostError || isDiskFull(error)) throw error;
          problem = reasonOf(error);
        }
      }
      if (problem !== undefined) failures.push({ modality, source, reason: problem });
      options.onFile?.(`${target}.${format}`, next?.fresh !== undefined, done + 1, jobs.length);
    }
  } finally {
    await ahead.settle();
    (await device?.catch(() => undefined))?.destroy();
  }
  return { written, total: jobs.length, failures };
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Whether a file is there and need not be made: for ours, made from the same; the original's does not say. */
async function isKnown(
  file: string,
  key: string,
  { format, overwrite, frames }: EncodeOptions,
  keyBefore?: () => Promise<string>,
): Promise<boolean> {
  if (overwrite) return false;
  if (format === 'pt') return (await stat(file).catch(() => undefined))?.isFile() ?? false;
  const found = await encodedFrom(file);
  if (found?.key === key) return true;
  // Earlier versions chose frames as training does, which is the same for a clip of just as many.
  return keyBefore !== undefined && found?.frames === String(frames) && found.key === (await keyBefore());
}

async function write(file: string, encoded: Encoded, from: Record<string, string>): Promise<void> {
  if (file.endsWith('.safetensors')) return writeEncoded(file, encoded, { ...from, tiling: 'none' });
  await writeFileAtomic(file, [writeTorchFile(basename(file, '.pt'), storedTensor(encoded))]);
}

/** Writes the failures of each kind as the original does, `encode_<name>_<modality>_rank<n>.json`. @returns the files. */
export async function writeFailures(
  failures: readonly EncodeFailure[],
  pathOf: (modality: Modality) => string,
): Promise<string[]> {
  const files: string[] = [];
  for (const modality of new Set(failures.map((failure) => failure.modality))) {
    const file = pathOf(modality);
    const list = failures
      .filter((failure) => failure.modality === modality)
      .map(({ source, reason }) => ({ src: source, reason }));
    await writeFileAtomic(file, `${JSON.stringify(list, undefined, 2)}\n`);
    files.push(file);
  }
  return files;
}
