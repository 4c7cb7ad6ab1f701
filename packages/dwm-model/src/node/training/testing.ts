/** A small run for tests: the golden model, three clips of made-up latents, a folder of its own. */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, randomReference } from '@dwm/core-tensor';
import { openNodeDevice, saveSafetensors } from '@dwm/core-tensor/node';
import { type ExperimentConfig, parseExperiment } from '../../training/config.ts';
import type { TrainOptions } from './train-options.ts';

export const TINY_MODEL = join(import.meta.dirname, '../../../tests/golden/pipeline_e2e');
const TEXT_DIM = 32;

async function save(path: string, shape: number[], stream: number): Promise<void> {
  const count = shape.reduce((a, b) => a * b);
  const data = new Float32Array(randomReference({ count, distribution: 'normal', stream }, [7, 7]));
  await saveSafetensors(path, new Map([['x', { dtype: 'F32' as const, shape, data }]]));
}

export interface TinyRun {
  readonly folder: string;
  /** The experiment, its output below the folder. */
  config(output: string, training?: object): ExperimentConfig;
}

/** @param frames of a clip, 4k + 1. */
export async function tinyRun(frames = 5): Promise<TinyRun> {
  const latents = [32, (frames + 3) / 4, 2, 4];
  const folder = await mkdtemp(join(tmpdir(), 'dwm-train-'));
  const sample = join(folder, 'data/sample');
  await mkdir(join(sample, 'videos'), { recursive: true });
  const stems = ['a', 'b', 'c'];
  for (const [i, stem] of stems.entries()) {
    await save(join(sample, `video_latents/${stem}.safetensors`), latents, 4 * i);
    await save(join(sample, `static_video_latents/${stem}.safetensors`), latents, 4 * i + 1);
    await save(join(sample, `hand_video_latents/${stem}.safetensors`), latents, 4 * i + 2);
    await save(join(sample, `prompt_embeds_rewrite/${stem}.safetensors`), [8, TEXT_DIM], 4 * i + 3);
  }
  const list = join(folder, 'list.txt');
  await writeFile(list, stems.map((stem) => `sample/videos/${stem}.mp4\n`).join(''));
  return {
    folder,
    config: (output, training = {}) =>
      parseExperiment(
        {
          experiment: { name: 'tiny', output_dir: join(folder, output) },
          model: { base_model_name_or_path: TINY_MODEL },
          data: {
            data_root: join(folder, 'data'),
            dataset_file: [list],
            height_buckets: 16,
            width_buckets: 32,
            frame_buckets: frames,
          },
          logging: { log_steps: 1 },
          training: {
            learning_rate: 1e-2,
            lora_rank: 4,
            lora_alpha: 4,
            lr_warmup_steps: 2,
            lr_scheduler: 'cosine_with_restarts',
            weight_decay: 0.01,
            beta2: 0.95,
            trainable_parameter_patterns: ['patch_embed.proj'],
            max_train_steps: 6,
            hand_dropout_prob: 0.3,
            custom_settings: { load_tensors: true, checkpointing_steps: 2 },
            ...training,
          },
        },
        'tiny.yaml',
      ),
  };
}

let kept: Promise<Device> | undefined;

/** One device for all runs of a test file, so that each kernel is compiled once: the end of a run leaves it open. */
export function keptDevice(): Promise<Device> {
  kept ??= openNodeDevice().then((device) => Object.assign(device, { destroy: () => {} }));
  return kept;
}

/** Options that need nothing but a device. */
export const tinyOptions = (config: ExperimentConfig): TrainOptions => ({
  config,
  openDevice: keptDevice,
  readClip: () => Promise.reject(new Error('no clip is decoded here')),
});
