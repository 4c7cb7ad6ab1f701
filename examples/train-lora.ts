/** Trains a LoRA of the default model on two simulated clips, and leaves the original's files in runs/example. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { parseExperiment, train } from '@dwm/dwm-model/node';
import { readVideo } from '@dwm/media/node';
import { writeDataset } from '@dwm/synth/node';

const size = { width: 96, height: 64, frames: 17 };
await writeDataset({ root: 'data/example', count: 2, seed: 0, split: 'train', ...size, fps: 8, workers: 1 });

const config = parseExperiment(
  {
    experiment: { name: 'example', output_dir: 'runs' },
    model: {
      base_model_name_or_path: dirname(fileURLToPath(import.meta.resolve('@dwm/dwm-tiny/model_index.json'))),
    },
    data: {
      data_root: 'data/example',
      dataset_file: ['data/example/dataset.txt'],
      height_buckets: size.height,
      width_buckets: size.width,
      frame_buckets: size.frames,
    },
    training: {
      ...{ mode: 'lora', lora_rank: 8, lora_alpha: 8, learning_rate: 1e-3, max_train_steps: 2 },
      // Clips are encoded while training runs; `dwm encode` does it once for all.
      custom_settings: { load_tensors: false },
    },
  },
  'examples/train-lora.ts',
);
const { step, checkpoint, losses } = await train({
  config,
  openDevice: () => openNodeDevice(),
  readClip: (path, choose) => readVideo(path, { indices: ({ frames }) => choose(frames) }),
  onEvent: (event) => {
    if (event.kind === 'step') console.error(`step ${event.step} of ${event.steps}, loss ${event.loss}`);
  },
});
console.log(`${step} steps, loss ${losses.at(-1)?.loss.toFixed(4)}, ${checkpoint}`);
