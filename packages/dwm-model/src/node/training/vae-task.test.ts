import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluate } from '@dwm/core-tensor';
import { toFloat32 } from '@dwm/core-tensor/files';
import { openDirectory, readSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DwmPipeline } from '../../pipeline/pipeline.ts';
import { type ExperimentConfig, parseExperiment } from '../../training/config.ts';
import { encodeVideo } from '../../video/codec.ts';
import { toBytes } from '../../video/transfer.ts';
import type { Video } from '../../video/video.ts';
import type { Reconstruction } from './task.ts';
import { keptDevice, TINY_MODEL } from './testing.ts';
import type { TrainOptions, TrainResult } from './train-options.ts';
import { train } from './trainer.ts';

let folder: string;
const [FRAMES, HEIGHT, WIDTH] = [9, 32, 48];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dwm-vae-'));
  // Configs alone: every weight is drawn at random.
  for (const part of ['vae', 'transformer', 'scheduler']) {
    await mkdir(join(folder, 'configs', part), { recursive: true });
    for (const name of await readdir(join(TINY_MODEL, part))) {
      if (name.endsWith('.json')) await cp(join(TINY_MODEL, part, name), join(folder, 'configs', part, name));
    }
  }
  // That they are there is looked at; what they show is made up below.
  for (const which of ['videos', 'videos_static', 'videos_hands']) {
    await mkdir(join(folder, 'data/sample', which), { recursive: true });
    for (const stem of ['a', 'b']) await writeFile(join(folder, 'data/sample', which, `${stem}.mp4`), '');
  }
  await writeFile(join(folder, 'list.txt'), 'sample/videos/a.mp4\nsample/videos/b.mp4\n');
});
afterAll(() => rm(folder, { recursive: true }));

const config = (output: string, training: object = {}): ExperimentConfig =>
  parseExperiment(
    {
      experiment: { name: 'vae', output_dir: join(folder, output) },
      model: { base_model_name_or_path: join(folder, 'configs'), from_scratch: true },
      data: {
        data_root: join(folder, 'data'),
        dataset_file: [join(folder, 'list.txt')],
        height_buckets: HEIGHT,
        width_buckets: WIDTH,
        frame_buckets: FRAMES,
        validation_steps: 4,
        num_validation_videos: 1,
      },
      logging: { log_steps: 1 },
      training: {
        mode: 'vae',
        vae_crop: [9, 16, 24],
        learning_rate: 3e-3,
        lr_scheduler: 'constant',
        max_train_steps: 4,
        custom_settings: { checkpointing_steps: 2 },
        ...training,
      },
    },
    'vae.yaml',
  );

/** A square that moves over a gradient; of its own for every path, some of another size than training has. */
async function readClip(path: string, choose: (frames: number) => readonly number[]): Promise<Video> {
  const seed = [...path].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 1009, 7);
  const [height, width] = path.includes('videos_hands') ? [40, 60] : [HEIGHT, WIDTH];
  const indices = choose(FRAMES);
  const data = new Uint8Array(indices.length * height * width * 3);
  let at = 0;
  for (const f of indices) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const inside = Math.abs(y - (seed % 20) - f) < 6 && Math.abs(x - (seed % 30) - 2 * f) < 8;
        data[at++] = inside ? 230 : 2 * x;
        data[at++] = inside ? seed % 256 : 3 * y;
        data[at++] = inside ? 40 : 90;
      }
    }
  }
  return { data, frames: indices.length, height, width };
}

/** `given` without a look at what the model makes on the way. */
const unseen = (given: ExperimentConfig): ExperimentConfig => ({
  ...given,
  data: { ...given.data, validation_steps: 0 },
});

const options = (given: ExperimentConfig): TrainOptions => ({
  config: given,
  openDevice: keptDevice,
  readClip,
});

test('from configs alone: the loss falls, the model loads in the pipeline, its latents have deviation 1', async () => {
  const shown: Reconstruction[] = [];
  const given = config('run', { max_train_steps: 40, custom_settings: { checkpointing_steps: 40 } });
  const notes: string[] = [];
  const result = await train({
    ...options({ ...given, data: { ...given.data, validation_steps: 40 } }),
    reconstructions: async (clips) => void shown.push(...clips),
    onEvent: (event) => event.kind === 'note' && notes.push(event.text),
  });
  const mean = (from: number, to: number) =>
    result.losses.slice(from, to).reduce((sum, { loss }) => sum + loss, 0) / (to - from);
  expect(mean(30, 40)).toBeLessThan(0.75 * mean(0, 5));
  expect(shown.map(({ name }) => name)).toEqual([
    'sample_videos_a video',
    'sample_videos_a static',
    'sample_videos_a hand',
  ]);
  expect(shown[0].psnr).toBeGreaterThan(8);
  expect(notes.join('\n')).toMatch(/random weights for vae, transformer\n.*psnr \d/);

  const model = result.model!;
  expect(await readdir(model)).toEqual(['scheduler', 'transformer', 'vae']);
  const device = await keptDevice();
  const pipeline = await DwmPipeline.load(device, await openDirectory(model));
  const { vae } = pipeline;
  expect(vae.shape.scalingFactor).not.toBe(0.7);
  const clip = shown[0].truth;
  const posterior = await encodeVideo(vae, clip);
  const mode = await evaluate(device, { mode: posterior.mode() });
  const again = await toBytes(await vae.decode(mode.mode));
  expect(again).toEqual(shown[0].reconstruction);
  const latents = (await mode.mode.read()) as Float32Array;
  const scaled = latents.map((value) => value * vae.shape.scalingFactor);
  const centre = scaled.reduce((sum, x) => sum + x, 0) / scaled.length;
  const deviation = Math.sqrt(scaled.reduce((sum, x) => sum + (x - centre) ** 2, 0) / scaled.length);
  expect(deviation).toBeGreaterThan(0.2);
  expect(deviation).toBeLessThan(3);

  // Files have PyTorch's order of dimensions: what was trained differs from the start, and fits its shapes.
  const file = 'vae/diffusion_pytorch_model.safetensors';
  const start = await readSafetensors(join(folder, 'run/initial', file));
  const end = await readSafetensors(join(model, file));
  expect(new Set(end.keys())).toEqual(new Set(start.keys()));
  const weight = 'decoder.conv_in.conv.weight';
  expect(end.get(weight)!.shape).toEqual([16, 16, 3, 3, 3]);
  const [before, after] = [start, end].map((tensors) => toFloat32(tensors.get(weight)!));
  const moved = after.map((value, i) => Math.abs(value - before[i]));
  expect(Math.max(...moved)).toBeLessThan(0.1);
  expect(Math.max(...moved)).toBeGreaterThan(1e-4);
}, 300_000);

let four: Promise<TrainResult> | undefined;
/** A run of four steps that is never stopped. */
const fourSteps = () => (four ??= train(options(config('whole'))));

test('stopped and resumed, the bits are those of a run never stopped', async () => {
  const whole = await fourSteps();
  const given = unseen(config('stopped'));
  const controller = new AbortController();
  const first = await train({
    ...options(given),
    signal: controller.signal,
    onEvent: (event) => event.kind === 'step' && event.step === 3 && controller.abort(),
  });
  expect(first).toMatchObject({ step: 3, stopped: true, model: undefined });
  const second = await train({ ...options(given), resume: 'latest' });
  expect(second.losses).toEqual(whole.losses);
  for (const file of ['optimizer.safetensors', 'vae/diffusion_pytorch_model.safetensors']) {
    expect(await readFile(join(folder, 'stopped/checkpoint-4', file))).toEqual(
      await readFile(join(folder, 'whole/checkpoint-4', file)),
    );
  }
  expect(await readFile(join(second.model!, 'vae/config.json'))).toEqual(
    await readFile(join(whole.model!, 'vae/config.json')),
  );
}, 300_000);

test('with a frozen encoder the decoder alone learns, and latents mean what they did', async () => {
  const { model: start } = await fourSteps();
  const notes: string[] = [];
  const given = config('decoder', { vae_freeze_encoder: true, weight_decay: 0.1 });
  const { model } = await train({
    ...options({ ...given, model: { base_model_name_or_path: start!, from_scratch: false } }),
    onEvent: (event) => event.kind === 'note' && notes.push(event.text),
  });
  expect(notes.join()).toMatch(/psnr \d/);
  const file = 'vae/diffusion_pytorch_model.safetensors';
  const [before, after, saved] = await Promise.all(
    [join(start!, file), join(model!, file), join(folder, 'decoder/checkpoint-4', file)].map(readSafetensors),
  );
  expect([...after.keys()]).toEqual([...before.keys()]);
  for (const [name, { shape, data }] of before) {
    const [ended, kept] = [after.get(name)!, saved.get(name)!];
    expect(kept.data).toEqual(ended.data);
    expect(ended.shape).toEqual(shape);
    if (name.startsWith('encoder.')) expect(ended.data).toEqual(data);
    else if (name.endsWith('weight')) expect(ended.data).not.toEqual(data);
  }
  expect(await readFile(join(model!, 'vae/config.json'))).toEqual(
    await readFile(join(start!, 'vae/config.json')),
  );
}, 300_000);

test.each([
  [[5, 16, 16], /learns from 8 k \+ 1 frames and multiples of 8/],
  [[9, 12, 16], /training\.vae_crop/],
  [[9, 64, 48], /at most \[9, 32, 48\]/],
])('a crop of %j is refused', async (crop, message) => {
  await expect(train(options(config('crop', { vae_crop: crop })))).rejects.toThrow(message);
});
