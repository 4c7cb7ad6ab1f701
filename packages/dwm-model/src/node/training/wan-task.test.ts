import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type Device, randomReference } from '@dwm/core-tensor';
import { readTorchFile, type SafetensorsTensor, toFloat32, writeSafetensors } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { familyOf } from '../../families/index.ts';
import { type ExperimentConfig, parseExperiment } from '../../training/config.ts';
import { readWanTransformer } from '../../wan/files.ts';
import { readWanConfig, WAN_LORA_FILE, wanParameters, wanVaeParameters } from '../../wan/index.ts';
import { WAN_TRAINING } from '../../wan/training/family.ts';
import { parseWanVaeConfig } from '../../wan/vae/config.ts';
import { encodeFiles } from './encode.ts';
import { jobsOfFolders } from './encode-jobs.ts';
import { inspectBatches } from './inspect.ts';
import { tinyOptions } from './testing.ts';
import { train } from './trainer.ts';

let folder: string;
let list: string;
const LATENTS = [16, 2, 2, 4];
const TEXT_DIM = 12;

const drawn = (shape: readonly number[], stream: number, scale = 1): SafetensorsTensor => {
  const count = shape.reduce((a, b) => a * b, 1);
  const values = randomReference({ count, distribution: 'normal', stream }, [7, 9]);
  return { dtype: 'F32', shape, data: Float32Array.from(values, (value) => value * scale) };
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dwm-wan-train-'));
  const model = join(folder, 'model');
  await mkdir(model);
  const json = {
    ...{ _class_name: 'WanModel', model_type: 'i2v', in_dim: 36, out_dim: 16, dim: 16, ffn_dim: 12 },
    ...{ freq_dim: 8, text_dim: TEXT_DIM, text_len: 260, num_heads: 1, num_layers: 1 },
  };
  await writeFile(join(model, 'config.json'), JSON.stringify(json));
  const config = { ...readWanConfig(json, 'config.json'), imageDim: 6 };
  const of = (specs: ReturnType<typeof wanParameters>, scale: number) =>
    new Map(Object.entries(specs).map(([name, { shape }], i) => [name, drawn(shape, i, scale)]));
  await writeFile(
    join(model, 'diffusion_pytorch_model.safetensors'),
    writeSafetensors(of(wanParameters(config), 0.3)),
  );
  // Three halvings of the picture and two of the frames, as the published one has.
  const vae = parseWanVaeConfig({ base_dim: 4, dim_mult: [1, 1, 1, 1], num_res_blocks: 1 }, 'config.json');
  await writeFile(join(model, 'Wan2.1_VAE.safetensors'), writeSafetensors(of(wanVaeParameters(vae), 0.2)));

  const sample = join(folder, 'data/sample');
  await mkdir(join(sample, 'videos'), { recursive: true });
  const stems = ['a', 'b', 'c'];
  for (const [i, stem] of stems.entries()) {
    const save = (name: string, tensor: SafetensorsTensor) =>
      saveSafetensors(join(sample, name, `${stem}.safetensors`), new Map([['encoded', tensor]]));
    await save('video_latents_wan', drawn(LATENTS, 100 + i));
    await save('static_video_latents_wan', drawn(LATENTS, 200 + i));
    await save('hand_video_latents_wan', drawn(LATENTS, 300 + i));
    // Prompts keep their own lengths.
    await save('prompt_embeds_rewrite_wan', drawn([3 + i, TEXT_DIM], 400 + i));
  }
  list = join(folder, 'list.txt');
  await writeFile(list, stems.map((stem) => `sample/videos/${stem}.mp4\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true }));

const config = (
  output: string,
  training: object = {},
  data: object = {},
  custom: object = {},
): ExperimentConfig =>
  parseExperiment(
    {
      experiment: { name: 'tiny', output_dir: join(folder, output) },
      pipeline: {
        type: 'wan2.1_fun_inp_hand_concat',
        base_model_name_or_path: join(folder, 'model'),
      },
      data: {
        ...{ data_root: join(folder, 'data'), dataset_file: [list] },
        ...{ height_buckets: 16, width_buckets: 32, frame_buckets: 5 },
        video_latents_subdir: 'video_latents_wan',
        static_video_latents_subdir: 'static_video_latents_wan',
        hand_video_latents_subdir: 'hand_video_latents_wan',
        prompt_embeds_subdir: 'prompt_embeds_rewrite_wan',
        ...data,
      },
      logging: { log_steps: 1 },
      training: {
        ...{ learning_rate: 1e-2, lora_rank: 2, lora_alpha: 3, max_train_steps: 4, beta2: 0.95 },
        trainable_parameter_patterns: ['patch_embedding'],
        hand_dropout_prob: 0.3,
        ...training,
        custom_settings: {
          ...{ load_tensors: true, checkpointing_steps: 2, mixed_precision: 'bf16' },
          ...custom,
        },
      },
    },
    'tiny.yaml',
  );

test('stopped and resumed, the bits are those of a run never stopped; the files are kohya’s', async () => {
  const told: string[] = [];
  let planned = 0;
  let opened: Device | undefined;
  const whole = await train({
    ...tinyOptions(config('whole')),
    async openDevice() {
      opened = await openNodeDevice();
      return opened;
    },
    onEvent(event) {
      if (event.kind === 'warning') told.push(event.text);
      if (event.kind === 'plan') planned = event.plan.bytes;
    },
  });
  expect(whole).toMatchObject({ step: 4, stopped: false });
  expect(Math.abs(opened!.memory.peak / planned - 1)).toBeLessThan(0.05);
  expect(told.join()).toContain(
    'Wan is trained with beta2 0.999, weight_decay 0.01, whatever the experiment says',
  );
  const controller = new AbortController();
  await train({
    ...tinyOptions(config('halves')),
    signal: controller.signal,
    onEvent: (event) => event.kind === 'step' && event.step === 2 && controller.abort(),
  });
  const second = await train({ ...tinyOptions(config('halves')), resume: 'latest' });
  expect(second.losses).toEqual(whole.losses);
  const file = (run: string, name = WAN_LORA_FILE) => join(folder, run, 'checkpoint-4', name);
  expect(await readFile(file('halves'))).toEqual(await readFile(file('whole')));

  const bytes = await readFile(file('whole'));
  const head = 8 + Number(bytes.readBigUInt64LE());
  const { __metadata__: said } = JSON.parse(bytes.toString('utf8', 8, head));
  expect(said.sshs_model_hash).toBe(createHash('sha256').update(bytes.subarray(head)).digest('hex'));
  // The first hash of nothing: the file is shorter than where it begins.
  expect(said.sshs_legacy_hash).toBe('e3b0c442');
  const saved = await readSafetensors(file('whole'));
  expect(saved.get('lora_unet__blocks_0_self_attn_q.lora_up.weight')).toMatchObject({
    dtype: 'BF16',
    shape: [16, 2],
  });
  expect([...toFloat32(saved.get('lora_unet__img_emb_proj_1.alpha')!)]).toEqual([3]);
  const others = await readSafetensors(file('whole', 'non_lora_weights.safetensors'));
  expect(others.get('patch_embedding.weight')!.shape).toEqual([16, 52, 1, 2, 2]);

  // A run's folder is one to generate with, and to start from.
  const device = await openNodeDevice();
  const model = await openDirectory(join(folder, 'model'));
  const family = await familyOf(model);
  const loaded = await family.loadTransformer(
    device,
    model,
    await openDirectory(join(folder, 'whole')),
    () => {},
  );
  expect(loaded.lora).toBeDefined();
  loaded.parameters.destroy();
  device.destroy();
  const start = config('start', { max_train_steps: 1, learning_rate: 0 });
  await train({ ...tinyOptions(start), resume: join(folder, 'whole') });
  const started = await readSafetensors(join(folder, 'start/checkpoint-1', WAN_LORA_FILE));
  for (const [name, tensor] of saved) expect(started.get(name), name).toEqual(tensor);
}, 300_000);

test('clips as they are: the three of a sample from one start, and embeddings where there is no text encoder', async () => {
  const sample = join(folder, 'data/sample');
  for (const name of ['videos', 'videos_static', 'videos_hands']) {
    await mkdir(join(sample, name), { recursive: true });
    for (const stem of ['a', 'b', 'c']) await writeFile(join(sample, name, `${stem}.mp4`), '');
  }
  const taken = new Map<string, readonly number[]>();
  const raw = { load_tensors: false };
  const losses: number[][] = [];
  for (const run of ['raw', 'again']) {
    const { losses: points } = await train({
      ...tinyOptions(config(run, { max_train_steps: 3, mode: 'sft' }, {}, raw)),
      readClip: async (path, choose) => {
        const still = path.includes('videos_static');
        const indices = choose(still ? 1 : 9);
        taken.set(path, indices);
        // Larger than the run's clips, and each frame of its own grey.
        const data = Uint8Array.from(
          { length: indices.length * 24 * 40 * 3 },
          (_, i) => (indices[Math.floor(i / 2880)] * 9 + i) % 256,
        );
        return { data, frames: indices.length, height: 24, width: 40 };
      },
    });
    losses.push(points.map(({ loss }) => loss));
  }
  expect(losses[0].every(Number.isFinite)).toBe(true);
  expect(losses[1]).toEqual(losses[0]);
  const starts = new Set<number>();
  for (const stem of ['a', 'b', 'c']) {
    const [video, hand, still] = ['videos', 'videos_hands', 'videos_static'].map(
      (name) => [...taken].find(([path]) => path.endsWith(join(name, `${stem}.mp4`)))![1],
    );
    expect(video).toEqual(Array.from({ length: 5 }, (_, i) => video[0] + i));
    expect(hand).toEqual(video);
    expect(still).toEqual([0, 0, 0, 0, 0]);
    starts.add(video[0]);
  }
  expect(starts.size).toBeGreaterThan(1);

  // Every weight is trained but those that no text reaches, and the whole is a transformer to generate with.
  const tuned = await readSafetensors(
    join(folder, 'raw/checkpoint-3/transformer/diffusion_pytorch_model.safetensors'),
  );
  const base = await readSafetensors(join(folder, 'model/diffusion_pytorch_model.safetensors'));
  expect([...tuned.keys()].sort()).toEqual([...base.keys()].sort());
  expect(tuned.get('patch_embedding.weight')!.shape).toEqual([16, 52, 1, 2, 2]);
  const change = (name: string) => {
    const before = toFloat32(base.get(name)!);
    return Math.max(...toFloat32(tuned.get(name)!).map((value, i) => Math.abs(value - before[i])));
  };
  expect(change('blocks.0.self_attn.norm_q.weight')).toBeGreaterThan(5e-3);
  expect(change('img_emb.proj.1.weight')).toBeLessThan(5e-3);
  const model = await openDirectory(join(folder, 'raw/checkpoint-3'));
  const { config: saved } = await readWanTransformer(model);
  expect(saved.inChannels).toBe(52);

  const other = train({
    ...tinyOptions(config('lengths', { max_train_steps: 1 }, {}, raw)),
    readClip: async (path, choose) => {
      choose(path.includes('hands') ? 8 : 9);
      return { data: new Uint8Array(5 * 24), frames: 5, height: 2, width: 4 };
    },
  });
  await expect(other).rejects.toThrow(/videos_hands.* has 8 frames, but .*videos.* has 9/);
}, 120_000);

test('the first batches can be looked at without a device', async () => {
  const seen = await inspectBatches(config('looked'), () => expect.fail('a clip was read'), 1);
  expect(seen).toMatchObject({ clips: 3, batches: 3 });
  const [[{ name, shapes, prompt }]] = seen.first;
  expect(shapes).toEqual({ video: LATENTS, static: LATENTS, hand: LATENTS });
  expect(prompt).toEqual([3 + 'abc'.indexOf(name.at(-5)!), TEXT_DIM]);
  // Of the two settings of a clip's length, the data's counts.
  const frames = config('looked', {}, { max_num_frames: 9 }, { max_num_frames: 5 });
  await expect(inspectBatches(frames, () => expect.fail('a clip was read'), 1)).rejects.toThrow(
    'expected latents [16,3,2,4]',
  );
});

test('features of zeros are another loss than none', async () => {
  const first = async (output: string, clip_features: string) =>
    (await train(tinyOptions(config(output, { max_train_steps: 1, clip_features })))).losses[0].loss;
  expect(await first('none', 'none')).not.toBe(await first('zeros', 'zeros'));
}, 120_000);

test('clips are encoded whole, as draws in bf16 that follow from what they are made of', async () => {
  const root = join(folder, 'clips');
  await mkdir(join(root, 'a/b/videos'), { recursive: true });
  await writeFile(join(root, 'a/b/videos/x.mp4'), 'stands for a video');
  const jobs = await jobsOfFolders(root, 'trumans', ['videos'], 'prompts_rewrite', WAN_TRAINING);
  expect(jobs.map(({ target }) => relative(root, target))).toEqual([
    'a/b/video_latents_wan/x',
    'a/b/fun_inp_i2v_latents_wan/x',
  ]);
  const frames: number[] = [];
  let tail = false;
  const encode = (format: 'pt' | 'safetensors', some = jobs) =>
    encodeFiles({
      ...{ jobs: some, model: join(folder, 'model'), frames: 5, format, roots: [root] },
      openDevice: () => openNodeDevice(),
      readClip: async (_, choose) => {
        // 7 frames: what the last two leave of a group of four is left out.
        frames.push(choose(7).length);
        const data = Uint8Array.from({ length: 7 * 16 * 32 * 3 }, (_, i) => (i * 37) % 251);
        if (tail) data.fill(9, 16 * 32 * 3);
        return { data, frames: 7, height: 16, width: 32 };
      },
    });
  expect(await encode('safetensors')).toMatchObject({ written: 2, failures: [] });
  expect(frames).toEqual([7, 7]);
  const file = join(root, 'a/b/video_latents_wan/x');
  const { shape, dtype, data } = (await readSafetensors(`${file}.safetensors`)).get('encoded')!;
  expect([dtype, ...shape]).toEqual(['BF16', 16, 2, 2, 4]);
  expect(toFloat32({ dtype, data }).every(Number.isFinite)).toBe(true);
  expect(await encode('safetensors')).toMatchObject({ written: 0, failures: [] });
  await encode('pt', [jobs[0]]);
  // What follows the first frame is not seen where that alone is encoded.
  tail = true;
  await encode('pt', [jobs[1]]);
  const encoded = async (path: string) => {
    const torch = await readTorchFile({ name: 'x.pt', bytes: await readFile(`${path}.pt`) });
    return torch.get('')!;
  };
  expect(await encoded(file)).toMatchObject({ dtype, shape, data });
  const alone = join(root, 'a/b/fun_inp_i2v_latents_wan/x');
  const first = (await readSafetensors(`${alone}.safetensors`)).get('encoded')!;
  expect(await encoded(alone)).toMatchObject({ dtype, shape, data: first.data });
  expect(first.data).not.toEqual(data);
}, 120_000);

test('clips that latents do not cover are named, each with the multiple that would fit', async () => {
  const root = join(folder, 'odd');
  await mkdir(join(root, 'a/b/videos'), { recursive: true });
  for (const stem of ['x', 'y']) await writeFile(join(root, `a/b/videos/${stem}.mp4`), stem);
  const jobs = await jobsOfFolders(root, 'trumans', ['videos'], 'prompts_rewrite', { encodedSuffix: '_wan' });
  const { failures } = await encodeFiles({
    ...{ jobs, model: join(folder, 'model'), frames: 5, format: 'safetensors', roots: [root] },
    openDevice: () => expect.fail('a device was opened'),
    readClip: async (path) => {
      const [height, width] = path.endsWith('x.mp4') ? [20, 32] : [16, 36];
      return { data: new Uint8Array(5 * height * width * 3), frames: 5, height, width };
    },
  });
  expect(failures.map(({ reason }) => reason)).toEqual([
    `${join(root, 'a/b/videos/x.mp4')}: is 32x20; encoding takes clips as they are, in multiples of 8: resize it with dwm prepare`,
    `${join(root, 'a/b/videos/y.mp4')}: is 36x16; encoding takes clips as they are, in multiples of 8: resize it with dwm prepare`,
  ]);
});

test.each([
  [
    'the first frame alone',
    { conditioning_mode: 'i2v' },
    {},
    'training.conditioning_mode: i2v is for generating; expected dwm to train',
  ],
  ['another mode', { mode: 'full' }, {}, 'training.mode: Wan is trained in mode lora or sft, got full'],
  [
    'a loss of its own',
    { huber_c: 0.1 },
    {},
    'training.huber_c: has no meaning for Wan; leave it at 0, got 0.1',
  ],
  ['latents that are not there', {}, { hand_video_latents_subdir: 'none' }, 'run dwm encode first'],
  [
    'latents of another size',
    {},
    { frame_buckets: 9 },
    'expected latents [16,3,2,4] for the buckets of this run, got [16,2,2,4]',
  ],
  ['odd buckets', {}, { height_buckets: 24 }, 'data.height_buckets: expected a multiple of 16, got 24'],
])(
  '%s: refused in one line',
  async (_, training, data, message) => {
    const error = await train(tinyOptions(config('refused', training, data))).then(
      () => expect.fail('was trained'),
      (caught) => caught,
    );
    expect(error.message).toContain(message);
    expect(error.message.split('\n')).toHaveLength(1);
  },
  60_000,
);
