/**
 * The original's README, line by line, with `dwm …` in place of `python …`, in a folder laid out as its repository: a tiny
 * model of random weights, clips of nine frames. What comes out is held against what the original's code gives.
 */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { readTorchFile } from '@dwm/core-tensor/files';
import { readSafetensors } from '@dwm/core-tensor/node';
import { initializeModel } from '@dwm/dwm-model/node';
import { type Frames, readVideo, writeVideo } from '@dwm/media/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { dwm, type Finished, temporaryFolder } from './testing.ts';

const BASE = join(import.meta.dirname, '../../../configs/dwm-tiny/base');
const [FRAMES, HEIGHT, WIDTH] = [9, 32, 48];
const YAML = 'training/cogvideox/configs/examples/dwm_cogvideox_5b_lora.yaml';
const TRUMANS = ['s1/a1/00000', 's1/a1/00001', 's1/a1/00002', 's1/a2/00010', 's2/a1/00003', 's2/a1/00004'];
const TASTE_ROB = ['7', '8', '9', '10'].map((stem) => `DoubleHand/Office/${stem}`);

/** Shader compilation on a busy CPU. */
const PATIENCE = 600_000;

let root: string;
const at = (...path: string[]) => join(root, ...path);
const text = (...path: string[]) => readFile(at(...path), 'utf8');
const json = async (...path: string[]) => JSON.parse(await text(...path));
/** Files below a folder, locks and caches left out. */
const files = async (...path: string[]) =>
  (await readdir(at(...path), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(at(...path).length + 1))
    .sort();

/** Runs a line of the README, where the repository's root would be. */
async function run(line: string, env: Record<string, string> = {}): Promise<Finished> {
  const cache = { XDG_CACHE_HOME: at('.cache'), DWM_TUNE: 'off' };
  const ran = await dwm(line.trim().split(/\s+/), { cwd: root, env: { ...cache, ...env } });
  expect(ran.code, `dwm ${line}\n${ran.stderr}`).toBe(0);
  return ran;
}

function clip(seed: number): Frames {
  const data = new Uint8Array(FRAMES * HEIGHT * WIDTH * 3);
  for (let i = 0; i < data.length; i++) {
    const [f, y, x] = [
      Math.floor(i / (HEIGHT * WIDTH * 3)),
      Math.floor(i / (WIDTH * 3)) % HEIGHT,
      Math.floor(i / 3) % WIDTH,
    ];
    data[i] = 128 + 100 * Math.sin((x + seed) / 9 + y / 7 + (f * (1 + (i % 3))) / 3);
  }
  return { data, frames: FRAMES, height: HEIGHT, width: WIDTH, fps: 8 };
}

/** The published experiment at our size, without a key more or less. */
const EXPERIMENT = {
  experiment: {
    ...{
      name: 'dwm_cogvideox_5b_lora',
      description: 'x',
      date: '2026-03-25',
      author: '',
      output_dir: 'outputs/',
    },
  },
  pipeline: { type: 'cogvideox_fun_static_to_video_pose_concat', condition_channels: 16 },
  training: {
    ...{ mode: 'lora', learning_rate: '1e-4', batch_size: 7, max_train_steps: 15_000, seed: 42 },
    ...{
      gradient_accumulation_steps: 2,
      optimizer: 'adamw',
      weight_decay: 0.01,
      lr_scheduler: 'cosine_with_restarts',
    },
    ...{ lr_warmup_steps: 100, lr_num_cycles: 1, max_grad_norm: 1, beta1: 0.9, beta2: 0.95 },
    ...{ lora_rank: 64, lora_alpha: 64, trainable_parameter_patterns: ['patch_embed.proj'] },
    ...{ prompt_dropout_prob: 0, hand_dropout_prob: 0 },
    custom_settings: {
      ...{ mixed_precision: 'bf16', gradient_checkpointing: true, load_tensors: true, random_flip: false },
      ...{ max_num_frames: FRAMES, enable_slicing: true, enable_tiling: true, allow_tf32: true },
      checkpointing_steps: 500,
    },
  },
  data: {
    dataset_file: ['dataset_files/trumans_train.txt', 'dataset_files/taste_rob_train.txt'],
    validation_set: ['dataset_files/trumans_test.txt', 'dataset_files/taste_rob_test.txt'],
    ...{ data_root: 'data', height_buckets: HEIGHT, width_buckets: WIDTH, frame_buckets: 49 },
    ...{ dataloader_num_workers: 4, pin_memory: true, validation_prompt_separator: ':::' },
    ...{
      num_validation_videos: 1,
      max_validation_videos: 2,
      init_validation_steps: 250,
      validation_steps: 500,
    },
    ...{ use_gray_hand_videos: false, split_hands: false, prompt_subdir: 'prompts_rewrite' },
    ...{ prompt_embeds_subdir: 'prompt_embeds_rewrite', hand_video_subdir: 'videos_hands' },
    ...{ hand_video_latents_subdir: 'hand_video_latents', static_video_subdir: 'videos_static' },
    ...{ static_video_latents_subdir: 'static_video_latents', video_latents_subdir: 'video_latents' },
  },
  model: { base_model_name_or_path: 'alibaba-pai/CogVideoX-Fun-V1.1-5b-InP' },
  logging: { report_to: 'none', tracker_name: 't', project_name: 'dwm', entity_name: '', log_steps: 10 },
  slurm: { job_name: 'dwm', nodes: 1, gpus: 4, partition: 'debug', output: 'o', error: 'e' },
  environment: { torch_logs: '+dynamo', wandb_mode: 'offline', nccl_timeout: 1800 },
};

beforeAll(async () => {
  root = await temporaryFolder();
  // As `dwm download alibaba-pai/CogVideoX-Fun-V1.1-5b-InP --out models/base` leaves it.
  await cp(BASE, at('configs'), { recursive: true });
  await rm(at('configs/generation.json'));
  const edit = async (file: string, values: object) => {
    const changed = { ...(await json(file)), ...values };
    await rm(at(file));
    await writeFile(at(file), JSON.stringify(changed));
  };
  const small = { num_layers: 2, num_attention_heads: 2, attention_head_dim: 16 };
  await edit('configs/transformer/config.json', small);
  await edit('configs/vae/config.json', { block_out_channels: [8, 8, 8], scaling_factor: 0.5 });
  await initializeModel(at('configs'), at('models/base'), 1);
  const id = 'alibaba-pai/CogVideoX-Fun-V1.1-5b-InP';
  await writeFile(at('models/base/.dwm-model.json'), JSON.stringify({ id, commit: 'x' }));

  const clips = [
    ...TRUMANS.map((name) => join('trumans', name)),
    ...TASTE_ROB.map((name) => join('taste_rob', name)),
  ];
  for (const [i, name] of clips.entries()) {
    const [sample, stem] = [at('data', dirname(name)), name.slice(dirname(name).length + 1)];
    for (const [k, which] of ['videos', 'videos_static', 'videos_hands'].entries())
      if (which !== 'videos_hands' || stem !== '10')
        await writeVideo(join(sample, which, `${stem}.mp4`), clip(10 * i + k));
    if (stem === '00003') continue;
    await mkdir(join(sample, 'prompts_rewrite'), { recursive: true });
    await writeFile(join(sample, `prompts_rewrite/${stem}.txt`), ` a hand opens drawer ${stem}\nand more\n`);
  }
  await mkdir(dirname(at(YAML)), { recursive: true });
  await writeFile(at(YAML), stringify(EXPERIMENT));
  await mkdir(at('dataset_files'));
  const lists: Record<string, string[]> = {
    trumans_train: [
      's1/a1/videos/00000',
      's1/a1/videos/00001',
      's1/a1/videos/00002',
      's1/a2/videos/00010',
    ].map((clip) => `trumans/${clip}.mp4`),
    taste_rob_train: ['8', '9'].map((stem) => `taste_rob/DoubleHand/Office/videos/${stem}.mp4`),
    trumans_test: [
      's2/a1/videos/00003',
      's2/a1/videos/00004',
      's1/a1/videos/00000',
      's1/a2/videos/00010',
    ].map((clip) => `trumans/${clip}.mp4`),
    taste_rob_test: ['taste_rob/DoubleHand/Office/videos/7.mp4'],
  };
  for (const [name, lines] of Object.entries(lists))
    await writeFile(at(`dataset_files/${name}.txt`), `${lines.join('\n')}\n`);
}, PATIENCE);
afterAll(() => rm(root, { recursive: true }));

test(
  'encode: a folder of .pt files beside each folder of clips, moments of the clip as it is',
  async () => {
    const encode = (type: string) =>
      run(
        `encode --dataset_type ${type} --data_root data/${type} --modalities videos static_videos hand_videos prompts
         --prompt_subdir prompts_rewrite --model_id alibaba-pai/CogVideoX-Fun-V1.1-5b-InP --max_num_frames ${FRAMES}`,
      );
    const [trumans, tasteRob] = await Promise.all([encode('trumans'), encode('taste_rob')]);
    // Six clips of three kinds and five captions; four, of which one has no hands, and four captions.
    expect(trumans.stdout).toBe('23 files encoded, 0 were there already\n');
    expect(tasteRob.stdout).toBe('15 files encoded, 0 were there already\n');
    const made = (await files('data/trumans/s1/a1')).filter((file) => /latents|embeds/.test(file));
    expect(made).toEqual(
      ['hand_video_latents', 'prompt_embeds_rewrite', 'static_video_latents', 'video_latents'].flatMap(
        (folder) => ['00000', '00001', '00002'].map((stem) => `${folder}/${stem}.pt`),
      ),
    );
    const shapeOf = async (file: string) => {
      const path = at('data/trumans/s1/a1', file);
      return [...(await readTorchFile({ name: file, bytes: await readFile(path) })).values()][0].shape;
    };
    // [2 C, 1 + (frames - 1) / 4, h / 4, w / 4] by this VAE; [tokens, width] of its text encoder.
    expect(await shapeOf('video_latents/00000.pt')).toEqual([32, 3, 8, 12]);
    expect(await shapeOf('prompt_embeds_rewrite/00000.pt')).toEqual([24, 64]);
  },
  PATIENCE,
);

test(
  'dataset split and check: the lists that create_dataset_file.py gives for seed 42, and what it calls invalid',
  async () => {
    for (const type of ['trumans', 'taste_rob'])
      await run(
        `dataset split --dataset_type ${type} --data_root data/${type} --output_dir data/dataset_files/${type} --output_base_dir ${at('data')}`,
      );
    // Made once with the original's script.
    expect(await text('data/dataset_files/trumans/test.txt')).toBe('trumans/s1/a2/videos/00010.mp4\n');
    expect(await text('data/dataset_files/trumans/val.txt')).toBe('trumans/s1/a1/videos/00002.mp4\n');
    expect(await text('data/dataset_files/trumans/train.txt')).toBe(
      'trumans/s1/a1/videos/00000.mp4\ntrumans/s1/a1/videos/00001.mp4\ntrumans/s2/a1/videos/00004.mp4\n',
    );
    const folder = 'data/dataset_files/taste_rob';
    expect(await text(folder, 'test.txt')).toBe('taste_rob/DoubleHand/Office/videos/8.mp4\n');
    expect(await text(folder, 'val.txt')).toBe('taste_rob/DoubleHand/Office/videos/7.mp4\n');
    expect(await text(folder, 'train.txt')).toBe('taste_rob/DoubleHand/Office/videos/9.mp4\n');
    expect(await text(folder, 'split_metadata.json')).toBe(
      '{\n  "total_videos": 3,\n  "train_videos": 1,\n  "val_videos": 1,\n  "test_videos": 1\n}',
    );
    expect(await json(folder, 'invalid_samples.json')).toEqual([
      { video: 'data/taste_rob/DoubleHand/Office/videos/10.mp4', missing: ['hand_video_latents'] },
    ]);
    const check = await dwm(
      ['dataset', 'check', '--dataset_type', 'taste_rob', '--data_root', 'data/taste_rob'],
      {
        cwd: root,
      },
    );
    expect(check.code).toBe(1);
    expect(check.stderr).toMatch(
      /videos\/10\.mp4: no file in hand_video_latents\n.*1 of 4 clips lack something/s,
    );
  },
  PATIENCE,
);

test(
  'train: the smoke runs of the README, lists joined, a folder that inference takes',
  async () => {
    const smoke = `training.batch_size=1 training.gradient_accumulation_steps=1 training.max_train_steps=1
      training.lora_rank=8 training.lora_alpha=8 data.dataloader_num_workers=0 logging.report_to=none`;
    const none = `data.num_validation_videos=0 data.max_validation_videos=0 data.init_validation_steps=0
      data.validation_steps=0`;
    const train = (rest: string) => run(`train --experiment_config ${YAML} ${rest}`);
    const [looked, single] = await Promise.all([
      train(`--test_dataloader --test_dataloader_samples 99 --override training.batch_size=2`),
      train(`--mode debug --override ${smoke} ${none}`),
    ]);
    // Both lists joined: each clip once in an epoch, so shares follow sizes.
    expect(looked.stdout).toMatch(/^dataset size: 6\ndataloader size: 3\n/);
    const names = looked.stdout.match(/[\w/]+\/videos\/\d+\.mp4/g)!;
    expect(new Set(names).size).toBe(6);
    expect(names.filter((name) => name.startsWith('taste_rob'))).toHaveLength(2);
    expect(looked.stdout).toContain('videos: shape=(2, 32, 3, 8, 12)');
    expect(looked.stdout).toContain('prompts: shape=(2, 24, 64)');

    expect(single.stderr.match(/^ignored: /gm)).toHaveLength(1);
    const output = 'outputs/dwm_cogvideox_5b_lora_debug';
    const made = await files(output);
    for (const file of ['pytorch_lora_weights.safetensors', 'non_lora_weights.safetensors'])
      for (const place of ['', 'checkpoint-1/']) expect(made).toContain(place + file);
    expect(made.filter((file) => file.startsWith('validation'))).toEqual([]);
    // The file as it was, without the overrides.
    expect(await text(output, 'dwm_cogvideox_5b_lora.yaml')).toBe(await text(YAML));
    const lora = await readSafetensors(at(output, 'pytorch_lora_weights.safetensors'));
    expect([...lora.keys()].sort()).toEqual(
      [0, 1].flatMap((block) =>
        ['to_k', 'to_out.0', 'to_q', 'to_v'].flatMap((name) =>
          ['A', 'B'].map((side) => `transformer_blocks.${block}.attn1.${name}.lora_${side}.weight`),
        ),
      ),
    );
    expect(lora.get('transformer_blocks.0.attn1.to_q.lora_A.weight')!.shape).toEqual([8, 32]);
    const whole = await readSafetensors(at(output, 'non_lora_weights.safetensors'));
    // Noisy, mask, static and hands: the base's 33 channels made wider.
    expect(whole.get('patch_embed.proj.weight')!.shape.slice(1)).toEqual([49, 2, 2]);

    const lines = `${smoke} data.validation_steps=0 data.validation_num_inference_steps=1`;
    await train(`--mode slurm_test --override ${lines}`);
    const shown = (await files('outputs/dwm_cogvideox_5b_lora_slurm_test/validation')).filter((file) =>
      /\/\d+\.(mp4|txt)$/.test(file),
    );
    const both = (step: number, stem: string) => [
      `step-00000${step}/${stem}.mp4`,
      `step-00000${step}/${stem}.txt`,
    ];
    // Before the first step num_validation_videos, at the end max_validation_videos.
    expect(shown).toEqual([...both(0, '00003'), ...both(1, '00003'), ...both(1, '00004')]);
    const folder = 'outputs/dwm_cogvideox_5b_lora_slurm_test/validation/step-000001';
    expect([await text(folder, '00003.txt'), await text(folder, '00004.txt')]).toEqual([
      '',
      'a hand opens drawer 00004\nand more',
    ]);
  },
  PATIENCE,
);

const CHECKPOINT = 'outputs/dwm_cogvideox_5b_lora_debug';

test(
  'generate: a list in chunks, and a single video; names, seeds, records and comparisons',
  async () => {
    const list = `generate --checkpoint_path ${CHECKPOINT} --experiment_config ${YAML} --num_inference_steps 1
      --dataset_file ${at('dataset_files/trumans_test.txt')} --output_dir outputs_infer/dataset`;
    const single = `generate --checkpoint_path ${CHECKPOINT}/checkpoint-1 --num_inference_steps 1
      --video trumans/s1/a2/videos/00010.mp4 --seed 45`;
    const [whole, chunk] = [`${list} --dataset_output_layout per_sample --chunk_id 0 --num_chunks 3`, list];
    const [one] = await Promise.all([
      run(whole.replace('outputs_infer/dataset', 'outputs_infer/samples')),
      run(chunk, { SLURM_ARRAY_TASK_ID: '2', SLURM_ARRAY_TASK_COUNT: '3' }),
    ]);
    await run(single);

    // Four clips in three chunks: 1, 1, 2, cut at i * n // k.
    const names = (stem: string) =>
      ['', '_comparison', '_full_comparison', '_generated'].map((end) => `${stem}${end}.mp4`);
    const ours = (stem: string) => [`${stem}_contact_sheet.png`];
    expect(await files('outputs_infer/dataset')).toEqual(
      [
        ...['00000', '00010'].flatMap((stem) => [...names(stem), ...ours(stem), `${stem}.txt`]),
        'metadata.chunk-2-of-3.json',
        'metadata.json',
      ].sort(),
    );
    const record = {
      ...{ checkpoint_path: CHECKPOINT, num_inference_steps: 1, guidance_scale: 6, num_frames: FRAMES },
      ...{ height: HEIGHT, width: WIDTH, prompt_subdir: 'prompts_rewrite', seed: 42, num_chunks: 3 },
      ...{ shard_rank: 0, num_shards: 1, mode: 'dataset_file', num_samples: 4 },
      dataset_file: at('dataset_files/trumans_test.txt'),
    };
    const cut = { chunk_id: 2, chunk_start: 2, chunk_end: 4, num_chunk_samples: 2 };
    expect(await json('outputs_infer/dataset/metadata.json')).toEqual({ ...record, ...cut });
    const { clips } = await json('outputs_infer/dataset/metadata.chunk-2-of-3.json');
    // The place in the whole list is added to the seed.
    expect([clips['00000.mp4'].seed, clips['00010.mp4'].seed]).toEqual([44, 45]);
    expect(await text('outputs_infer/dataset/00010.txt')).toBe('a hand opens drawer 00010\nand more');

    // A folder for each clip, with a record of its own; a caption that is not there is empty, and that is said.
    const { relative_video_path, global_index, seed } = await json(
      'outputs_infer/samples/00003/metadata.json',
    );
    expect({ relative_video_path, global_index, seed }).toEqual({
      ...{ relative_video_path: 'trumans/s2/a1/videos/00003.mp4', global_index: 0, seed: 42 },
    });
    expect(await text('outputs_infer/samples/00003/00003.txt')).toBe('');
    expect(one.stderr).toContain('prompts_rewrite/00003.txt: no such caption; the prompt is empty');

    // Beside the checkpoint, by the run's own file; the same clip and seed as in the list, so the same bytes.
    const alone = join(CHECKPOINT, 'checkpoint-1/inference');
    expect(await files(alone)).toEqual(
      [...names('00010'), ...ours('00010'), '00010.txt', 'metadata.json'].sort(),
    );
    expect(await json(alone, 'metadata.json')).toMatchObject({
      ...{ checkpoint_path: join(CHECKPOINT, 'checkpoint-1'), mode: 'single_video', seed: 45, chunk_id: 0 },
      ...{
        video: 'data/trumans/s1/a2/videos/00010.mp4',
        hand_video: 'data/trumans/s1/a2/videos_hands/00010.mp4',
      },
      prompt_path: 'data/trumans/s1/a2/prompts_rewrite/00010.txt',
    });
    const bytes = (...path: string[]) => readFile(at(...path));
    const made = await bytes(alone, '00010.mp4');
    expect(made.equals(await bytes('outputs_infer/dataset/00010.mp4'))).toBe(true);
    expect(made.equals(await bytes(alone, '00010_generated.mp4'))).toBe(true);

    // static | hands | generated | truth
    const full = await readVideo(at(alone, '00010_full_comparison.mp4'));
    expect(full).toMatchObject({ frames: FRAMES, height: HEIGHT, width: 4 * WIDTH, fps: 8 });
    const sources = ['videos_static/00010', 'videos_hands/00010', '', 'videos/00010'];
    for (const [k, source] of sources.entries()) {
      const shown = await readVideo(
        source ? at('data/trumans/s1/a2', `${source}.mp4`) : at(alone, '00010.mp4'),
      );
      let off = 0;
      for (let p = 0; p < FRAMES * HEIGHT * WIDTH; p++) {
        const [line, x] = [Math.floor(p / WIDTH), p % WIDTH];
        const place = (line * 4 * WIDTH + k * WIDTH + x) * 3;
        for (let c = 0; c < 3; c++) off += Math.abs(full.data[place + c] - shown.data[3 * p + c]);
      }
      expect(off / shown.data.length, source).toBeLessThan(6);
    }
  },
  PATIENCE,
);

test(
  'metrics: results.txt in the form of compute_metrics.py, means over pairs',
  async () => {
    const [name, stem] = ['trumans/s1/a2/videos/00010.mp4', '00010'];
    await writeFile(at('one.txt'), `${name}\n`);
    await mkdir(at('pred'));
    const made = at('outputs_infer/dataset', `${stem}.mp4`);
    await cp(made, at('pred/trumans_s1_a2_videos_00010_0.mp4'));
    await run('eval --data_root data --dataset_file one.txt --pred pred --no_pck --out scored');
    const [got, want] = [await readVideo(made), await readVideo(at('data', name))];
    const mse = got.data.reduce((sum, x, i) => sum + ((x - want.data[i]) / 255) ** 2, 0) / got.data.length;
    const psnr = (-10 * Math.log10(mse)).toFixed(4);
    const lines = (await text('scored/results.txt')).split('\n');
    expect(lines.slice(0, 2)).toEqual(['', `GT: ${name}`]);
    const numbers = `PSNR: ${psnr}\tSSIM: `;
    expect(lines[2].startsWith(`  PRED: trumans_s1_a2_videos_00010_0.mp4\t${numbers}`), lines[2]).toBe(true);
    expect(lines[2]).toMatch(/\tSSIM: -?\d\.\d{4}\tLPIPS: nan\tDreamSim: nan$/);
    expect(lines[4]).toBe('OVERALL AVERAGES (across all GT–PRED pairs)');
    expect(lines[5].startsWith(numbers)).toBe(true);
  },
  PATIENCE,
);

test(
  'captions: each clip captioned, each caption rewritten, by a model behind an address',
  async () => {
    let asked = 0;
    const server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      asked++;
      const content = body.includes('image_url')
        ? ' My hand opens a door.\n'
        : `{"rewritten description": "A hand opens a door."}`;
      response.end(JSON.stringify({ choices: [{ message: { content } }] }));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    try {
      const line = `caption --endpoint ${url} --model_name InternVL2 --root_dir data/trumans --skip_existing`;
      await run(`${line} --num_sampled_frames 4`);
      expect(asked).toBe(6);
      expect(await text('data/trumans/s1/a1/prompts/00001.txt')).toBe('My hand opens a door.\n');
      await run(`${line} --rewrite`);
      // Rewritten captions that are there are left alone: only one clip had none.
      expect(asked).toBe(7);
      expect(await text('data/trumans/s2/a1/prompts_rewrite/00003.txt')).toBe('A hand opens a door.\n');
      expect(await text('data/trumans/s1/a1/prompts_rewrite/00001.txt')).toContain('drawer 00001');
    } finally {
      await new Promise((done) => server.close(done));
    }
  },
  PATIENCE,
);
