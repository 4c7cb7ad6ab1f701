/**
 * Encoding a dataset ahead of training: latents and prompt embeddings beside the clips, in the original's
 * folders. What is there already, made from the same content with the same weights, is left alone.
 */
import { resolve } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { openDirectory, withOutput } from '@dwm/core-tensor/node';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { emptyParameters } from '../../training/export.ts';
import { readTransformerConfig } from '../../transformer/index.ts';
import { readJson } from '../../weights/config.ts';
import { CLIPS, checkFiles, readDataset, type Sample } from './dataset.ts';
import { type Encoded, encodedFrom, writeEncoded } from './encoded.ts';
import { type ReadClip, readCaption, TrainingEncoder } from './encoder.ts';
import { Prefetch } from './prefetch.ts';
import { trainingSize } from './size.ts';

export interface EncodeOptions {
  readonly config: ExperimentConfig;
  readonly openDevice: () => Promise<Device>;
  readonly readClip: ReadClip;
  readonly signal?: AbortSignal;
  readonly onLoading?: (part: string, done: number, total: number) => void;
  /** After each file, those left alone included. */
  readonly onFile?: (file: string, encoded: boolean, done: number, total: number) => void;
}

interface Task {
  readonly file: string;
  /** What it is made from. */
  key(): Promise<string>;
  /** Looks at what was encoded before, and is what it should be. */
  known?(from: Readonly<Record<string, string>>): void;
  /** All that needs no device; the rest is done by what it returns. */
  read(): Promise<{ readonly encode: () => Promise<Encoded>; readonly from?: Record<string, string> }>;
}

/** Clips decoded ahead of the device's turn. */
const AHEAD = 4;

/** Encodes every clip of the dataset and validation lists. @returns how many files were written. */
export async function encodeDataset(options: EncodeOptions): Promise<{ written: number; total: number }> {
  const { data } = options.config;
  const samples: Sample[] = [];
  for (const { path, root } of data.dataset_file) samples.push(...(await readDataset(path, data, root)));
  for (const path of data.validation_set) samples.push(...(await readDataset(path, data)));
  // Encoded files lie beside the clips.
  const lists = [...data.dataset_file, ...data.validation_set.map(() => ({ root: undefined }))];
  const roots = new Set(lists.map(({ root }) => resolve(root ?? data.data_root)));
  let work = () => encodeAll(options, samples);
  for (const root of roots) {
    const inner = work;
    work = () => withOutput(root, {}, inner);
  }
  return work();
}

async function encodeAll(
  options: EncodeOptions,
  samples: readonly Sample[],
): Promise<{ written: number; total: number }> {
  const { config, signal } = options;
  const { training } = config;
  const model = config.model.base_model_name_or_path;
  const folder = await openDirectory(model);
  let device: Device | undefined;
  let pipeline: Promise<DwmPipeline> | undefined;
  const encoder = new TrainingEncoder({
    model,
    size: trainingSize(config),
    tiling: training.custom_settings.enable_tiling,
    readClip: options.readClip,
    pipeline: () => {
      pipeline ??= (async () => {
        device = await options.openDevice();
        // The transformer has no part in encoding: its config is enough.
        const { json, file } = await readJson(folder, 'transformer/config.json');
        const transformer = { config: readTransformerConfig(json, file), parameters: emptyParameters() };
        return DwmPipeline.load(device, folder, { transformer, onProgress: options.onLoading });
      })();
      return pipeline;
    },
  });
  const withText = await folder.exists('text_encoder/config.json');
  const clips = (sample: Sample) => ({ files: CLIPS.map((which) => sample[which]) });
  await checkFiles(samples, clips, 'add it, or take the clip out of its list');
  const captions = ({ prompt }: Sample) => ({ files: [prompt] });
  if (withText) await checkFiles(samples, captions, 'write the caption of the clip into it');
  const tasks = new Map<string, Task>();
  for (const sample of samples) {
    for (const task of tasksOf(sample, encoder, withText)) tasks.set(task.file, task);
  }
  const list = [...tasks.values()];
  const ahead = new Prefetch(
    0,
    AHEAD,
    async (index) => {
      const task = list[index];
      if (!task || signal?.aborted) return undefined;
      const key = await task.key();
      const found = await encodedFrom(task.file);
      if (found?.key !== key) return { key, ...(await task.read()) };
      task.known?.(found);
      return undefined;
    },
    { overlap: true },
  );
  let written = 0;
  try {
    for (const [done, { file }] of list.entries()) {
      signal?.throwIfAborted();
      const fresh = await ahead.take();
      signal?.throwIfAborted();
      if (fresh) {
        await writeEncoded(file, await fresh.encode(), { key: fresh.key, ...fresh.from });
        written++;
      }
      options.onFile?.(file, fresh !== undefined, done + 1, list.length);
    }
  } finally {
    await ahead.settle();
    device?.destroy();
  }
  return { written, total: list.length };
}

function tasksOf(sample: Sample, encoder: TrainingEncoder, withText: boolean): Task[] {
  const clips = CLIPS.map((which) => ({
    file: `${sample.latents[which]}.safetensors`,
    key: () => encoder.clipKey(sample[which]),
    known({ frames }: Readonly<Record<string, string>>) {
      if (frames) encoder.checkLength(sample, which, Number(frames));
    },
    async read() {
      const { clip, length } = await encoder.readClip(sample, which);
      return { encode: () => encoder.encodeClip(clip), from: { frames: String(length) } };
    },
  }));
  if (!withText) return clips;
  const prompt = {
    file: `${sample.promptEmbeds}.safetensors`,
    key: async () => encoder.promptKey(await readCaption(sample.prompt)),
    async read() {
      const caption = await readCaption(sample.prompt);
      return { encode: () => encoder.encodePrompt(caption) };
    },
  };
  return [...clips, prompt];
}
