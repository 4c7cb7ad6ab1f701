/**
 * Encoding a dataset ahead of training: latents and prompt embeddings beside the clips, in the original's
 * folders. What is there already, made from the same content with the same weights, is left alone.
 */
import { type Device, openSafetensors } from '@dwm/core-tensor';
import { openDirectory, openPath } from '@dwm/core-tensor/node';
import { loadTransformer } from '../../pipeline/load-transformer.ts';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import { readDataset, type Sample } from './dataset.ts';
import { type Encoded, writeEncoded } from './encoded.ts';
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
  /** All that needs no device; the rest is done by what it returns. */
  read(): Promise<() => Promise<Encoded>>;
}

/** Clips decoded ahead of the device's turn. */
const AHEAD = 4;

/** Encodes every clip of the dataset and validation lists. @returns how many files were written. */
export async function encodeDataset(options: EncodeOptions): Promise<{ written: number; total: number }> {
  const { config, signal } = options;
  const { data, training } = config;
  const samples: Sample[] = [];
  for (const path of [...data.dataset_file.map((list) => list.path), ...data.validation_set]) {
    samples.push(...(await readDataset(path, data)));
  }
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
        const loading = options.onLoading ?? (() => {});
        const transformer = await loadTransformer(device, folder, undefined, (done, total) =>
          loading('transformer', done, total),
        );
        return DwmPipeline.load(device, folder, { transformer, onProgress: loading });
      })();
      return pipeline;
    },
  });
  const withText = await folder.exists('text_encoder/config.json');
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
      return (await keyOf(task.file)) === key ? undefined : { key, encode: await task.read() };
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
        await writeEncoded(file, await fresh.encode(), { key: fresh.key });
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
  const clips = (['video', 'static', 'hand'] as const).map((which) => ({
    file: `${sample.latents[which]}.safetensors`,
    key: () => encoder.clipKey(sample[which]),
    async read() {
      const clip = await encoder.readClip(sample[which]);
      return () => encoder.encodeClip(clip);
    },
  }));
  if (!withText) return clips;
  const prompt = {
    file: `${sample.promptEmbeds}.safetensors`,
    key: async () => encoder.promptKey(await readCaption(sample.prompt)),
    async read() {
      const caption = await readCaption(sample.prompt);
      return () => encoder.encodePrompt(caption);
    },
  };
  return [...clips, prompt];
}

/** What a file says it was made from; undefined where there is none, or it is damaged. */
async function keyOf(file: string): Promise<string | undefined> {
  try {
    const checkpoint = await openSafetensors(await openPath(file));
    await checkpoint.close();
    return checkpoint.metadata.key;
  } catch {
    return undefined;
  }
}
