import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ExperimentConfig } from '../../training/config.ts';
import type { Video } from '../../video/video.ts';
import type { Reconstruction } from './task.ts';
import { keptDevice, TINY_MODEL, type TinyRun, tinyRun } from './testing.ts';
import type { TrainOptions } from './train-options.ts';
import { train } from './trainer.ts';

const [FRAMES, HEIGHT, WIDTH] = [9, 16, 32];
const FILE = 'vae/diffusion_pytorch_model.safetensors';
let tiny: TinyRun;
beforeAll(async () => {
  tiny = await tinyRun(FRAMES);
  // That they are there is looked at; what they show is made up below.
  for (const which of ['videos', 'videos_static']) {
    await mkdir(join(tiny.folder, 'data/sample', which), { recursive: true });
    for (const stem of 'abc') await writeFile(join(tiny.folder, 'data/sample', which, `${stem}.mp4`), '');
  }
});
afterAll(() => rm(tiny.folder, { recursive: true }));

const config = (output: string, training: object = {}, data: object = {}): ExperimentConfig => {
  const given = tiny.config(output, {
    mode: 'decoder',
    learning_rate: 3e-3,
    hand_dropout_prob: 0,
    change_weight: 2,
    max_train_steps: 3,
    ...training,
  });
  return { ...given, data: { ...given.data, validation_steps: 3, num_validation_videos: 1, ...data } };
};

/** Stripes of a phase of its own for every path; a box moves over them where something happens. */
async function readClip(path: string, choose: (frames: number) => readonly number[]): Promise<Video> {
  const seed = [...path.replace('_static', '')].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 97, 7);
  const indices = choose(FRAMES);
  const data = new Uint8Array(indices.length * HEIGHT * WIDTH * 3);
  let at = 0;
  for (const f of indices)
    for (let y = 0; y < HEIGHT; y++)
      for (let x = 0; x < WIDTH; x++) {
        const isBox = path.includes('videos/') && Math.abs(x - 2 * f - 6) < 4 && y > 4;
        const stripe = (x + seed) % 8 < 4 ? 200 : 60;
        for (let c = 0; c < 3; c++) data[at++] = isBox ? 255 - 60 * c : stripe;
      }
  return { data, frames: indices.length, height: HEIGHT, width: WIDTH };
}

const options = (given: ExperimentConfig): TrainOptions => ({
  config: given,
  openDevice: keptDevice,
  readClip,
});

test('stopped and resumed, the bits are those of a run never stopped; only the decoder changes', async () => {
  const shown: Reconstruction[] = [];
  const notes: string[] = [];
  const whole = await train({
    ...options(config('whole')),
    reconstructions: async (clips) => void shown.push(...clips),
    onEvent: (event) => event.kind === 'note' && notes.push(event.text),
  });
  expect(shown.map(({ name }) => name)).toEqual(['sample_videos_a truth', 'sample_videos_a generated']);
  expect(shown[0].reconstruction).not.toEqual(shown[1].reconstruction);
  expect(notes.join()).toMatch(/generated_changed_psnr \d.*generated_gradient \d.*generated_energy \d/);

  const given = config('stopped', {}, { validation_steps: 0 });
  const controller = new AbortController();
  await train({
    ...options(given),
    signal: controller.signal,
    onEvent: (event) => event.kind === 'step' && event.step === 2 && controller.abort(),
  });
  const second = await train({ ...options(given), resume: 'latest' });
  expect(second.losses).toEqual(whole.losses);
  for (const file of ['optimizer.safetensors', FILE]) {
    expect(await readFile(join(tiny.folder, 'stopped/checkpoint-3', file))).toEqual(
      await readFile(join(tiny.folder, 'whole/checkpoint-3', file)),
    );
  }

  const [before, after] = await Promise.all(
    [TINY_MODEL, whole.model!].map((path) => readSafetensors(join(path, FILE))),
  );
  expect(new Set(after.keys())).toEqual(new Set(before.keys()));
  for (const [name, { data, shape }] of before) {
    expect(after.get(name)!.shape, name).toEqual(shape);
    if (name.startsWith('encoder.')) expect(after.get(name)!.data, name).toEqual(data);
    else if (name.endsWith('weight')) expect(after.get(name)!.data, name).not.toEqual(data);
  }
  // The discriminator is the run's own: the model has none of it, and the checkpoint goes on with it.
  const { layout } = JSON.parse(await readFile(join(tiny.folder, 'whole/checkpoint-3/state.json'), 'utf8'));
  expect(Object.keys(layout)).toContain('discriminator.0.weight');
}, 300_000);

test('edges become stronger where their strength counts', async () => {
  const energies: number[] = [];
  for (const weight of [0, 50]) {
    const notes: string[] = [];
    const given = config(`contrast-${weight}`, {
      max_train_steps: 9,
      decoder_contrast_weight: weight,
      decoder_feature_weight: 0,
      decoder_adversarial_weight: 0,
      decoder_generated_prob: 0,
      custom_settings: { load_tensors: true, checkpointing_steps: 0 },
    });
    await train({ ...options(given), onEvent: (event) => event.kind === 'note' && notes.push(event.text) });
    energies.push(Number(/.*truth_energy ([\d.]+)/s.exec(notes.join(' '))![1]));
  }
  expect(energies[1]).toBeGreaterThan(1.5 * energies[0]);
}, 300_000);

test.each([
  [
    'no_hands_prob',
    { no_hands_prob: 0.1 },
    {},
    'training.no_hands_prob: is of modes lora, full, causal, self_forcing, and has no meaning in mode decoder',
  ],
  ['vae_crop', { vae_crop: [9, 16, 16] }, {}, 'training.vae_crop: is of mode vae, and has no meaning'],
  ['huber_c', { huber_c: 0.1 }, {}, 'training.huber_c: is of modes lora, full'],
  ['frames', {}, { frame_buckets: [5] }, 'data.frame_buckets: the decoder learns from 8 k + 1 frames, got 5'],
])('%s is refused', async (_, training, data, message) => {
  await expect(train(options(config('refused', training, data)))).rejects.toThrow(message);
});
