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
  key(): Promise<string>;
  encode(): Promise<Encoded>;
}

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
  let written = 0;
  let done = 0;
  try {
    for (const { file, key, encode } of tasks.values()) {
      signal?.throwIfAborted();
      const wanted = await key();
      const fresh = (await keyOf(file)) !== wanted;
      if (fresh) {
        await writeEncoded(file, await encode(), { key: wanted });
        written++;
      }
      options.onFile?.(file, fresh, ++done, tasks.size);
    }
  } finally {
    device?.destroy();
  }
  return { written, total: tasks.size };
}

function tasksOf(sample: Sample, encoder: TrainingEncoder, withText: boolean): Task[] {
  const clips = (['video', 'static', 'hand'] as const).map((which) => ({
    file: `${sample.latents[which]}.safetensors`,
    key: () => encoder.clipKey(sample[which]),
    encode: () => encoder.encodeClip(sample[which]),
  }));
  if (!withText) return clips;
  const prompt = {
    file: `${sample.promptEmbeds}.safetensors`,
    key: async () => encoder.promptKey(await readCaption(sample.prompt)),
    encode: async () => encoder.encodePrompt(await readCaption(sample.prompt)),
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
