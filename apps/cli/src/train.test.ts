/**
 * `dwm train` and `dwm encode` as a user has them, on clips that the test makes: a small model of random weights, a
 * text encoder among them, clips encoded while training, captions, and both dropouts.
 */
import type { ChildProcess } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors } from '@dwm/core-tensor/node';
import { type Frames, writeVideo } from '@dwm/media/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { dwm, type Finished, ownLines, temporaryFolder } from './testing.ts';

const BASE = join(import.meta.dirname, '../../../configs/dwm-tiny/base');
const STEMS = ['a', 'b', 'c'];
const STEPS = 5;
/** Shader compilation on a busy CPU. */
const PATIENCE = 600_000;

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  await cp(BASE, join(folder, 'configs'), { recursive: true });
  await edit('configs/transformer/config.json', {
    num_layers: 2,
    num_attention_heads: 2,
    attention_head_dim: 16,
  });
  await edit('configs/vae/config.json', { block_out_channels: [8, 8, 8], scaling_factor: 0.5 });
  const sample = join(folder, 'data/s');
  await mkdir(join(sample, 'prompts_rewrite'), { recursive: true });
  for (const [i, stem] of STEMS.entries()) {
    for (const [k, which] of ['videos', 'videos_static', 'videos_hands'].entries())
      await writeVideo(join(sample, which, `${stem}.mp4`), clip(5, 10 * i + k));
    await writeFile(join(sample, `prompts_rewrite/${stem}.txt`), `a hand opens drawer ${stem}\n`);
  }
  await writeFile(join(folder, 'list.txt'), STEMS.map((stem) => `s/videos/${stem}.mp4\n`).join(''));
  // The weights of all runs: those that a run from scratch starts from.
  const scratch = { model: { base_model_name_or_path: join(folder, 'configs'), from_scratch: true } };
  const made = await run(['train', await experiment('scratch', { max_train_steps: 1 }, scratch)]);
  expect(made).toMatchObject({ code: 0 });
  await cp(join(folder, 'scratch/initial'), join(folder, 'model'), { recursive: true });
}, PATIENCE);
afterAll(() => rm(folder, { recursive: true }));

async function edit(file: string, values: object): Promise<void> {
  const path = join(folder, file);
  const json = JSON.parse(await readFile(path, 'utf8'));
  await rm(path);
  await writeFile(path, JSON.stringify({ ...json, ...values }));
}

function clip(frames: number, seed: number, [height, width] = [32, 48]): Frames {
  const data = new Uint8Array(frames * height * width * 3);
  for (let i = 0; i < data.length; i++) {
    const [f, y, x] = [
      Math.floor(i / (height * width * 3)),
      Math.floor(i / (width * 3)) % height,
      Math.floor(i / 3) % width,
    ];
    data[i] = 128 + 100 * Math.sin((x + seed) / 9 + y / 7 + (f * (1 + (i % 3))) / 3);
  }
  return { data, frames, height, width, fps: 8 };
}

/** Writes an experiment that saves after every step; its output is in `folder/<name>`. */
async function experiment(name: string, training: object = {}, sections: object = {}): Promise<string> {
  const path = join(folder, `${name}.yaml`);
  const whole = {
    experiment: { name, output_dir: folder },
    model: { base_model_name_or_path: join(folder, 'model') },
    data: {
      data_root: join(folder, 'data'),
      dataset_file: [join(folder, 'list.txt')],
      ...{ height_buckets: 32, width_buckets: 48, frame_buckets: 5 },
    },
    logging: { log_steps: 1 },
    training: {
      ...{ mode: 'lora', lora_rank: 4, lora_alpha: 4, learning_rate: 1e-2, lr_warmup_steps: 0 },
      ...{ max_train_steps: STEPS, prompt_dropout_prob: 0.3, hand_dropout_prob: 0.3 },
      trainable_parameter_patterns: ['patch_embed.proj'],
      custom_settings: { checkpointing_steps: 1, load_tensors: false },
      ...training,
    },
    ...sections,
  };
  await writeFile(path, stringify(whole));
  return path;
}

const run = (
  args: readonly string[],
  watch?: (child: ChildProcess, stderr: string) => void,
): Promise<Finished> =>
  dwm(args, { env: { XDG_CACHE_HOME: join(folder, 'xdg'), DWM_TUNE: 'off' }, ...(watch && { watch }) });

const weights = (name: string, step = STEPS) =>
  readFile(join(folder, name, `checkpoint-${step}/optimizer.safetensors`));

/** The one line that a command ends with when it fails. */
async function failure(args: readonly string[]): Promise<string> {
  const { code, stderr, stdout } = await run(args);
  expect(code).toBe(1);
  expect(stdout).toBe('');
  const lines = ownLines({ code, stderr, stdout });
  return lines[lines.length - 1];
}

test(
  'clips are encoded while training; stopped with SIGTERM and resumed, the run has the same bits',
  async () => {
    const whole = await run(['train', await experiment('whole')]);
    expect(whole).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/checkpoint-5: step 5, loss [\d.]+\n$/),
    });
    const cache = join(folder, 'whole/cache');
    expect(await readdir(join(cache, 'latents'))).toHaveLength(9);
    // Three captions, and the empty prompt of the dropped ones.
    const prompts = await readdir(join(cache, 'prompts'));
    expect(prompts).toHaveLength(4);
    const embedded = [...(await readSafetensors(join(cache, 'prompts', prompts[0]))).values()][0];
    expect(embedded.shape).toEqual([24, 64]);

    const config = await experiment('stopped');
    let stopped = false;
    const first = await run(['train', config], (child, stderr) => {
      if (stopped || !stderr.includes('checkpoint-2')) return;
      stopped = true;
      child.kill('SIGTERM');
    });
    expect(first).toMatchObject({ code: 0, stdout: expect.stringMatching(/go on with --resume latest\n$/) });
    const [, at] = /step (\d)/.exec(first.stdout)!;
    expect(Number(at)).toBeLessThan(STEPS);
    const second = await run(['train', config, '--resume', 'latest']);
    expect(second.code).toBe(0);
    expect(second.stderr).toContain(`going on after step ${at}`);
    expect(await weights('stopped')).toEqual(await weights('whole'));
  },
  PATIENCE,
);

test(
  'encoded ahead, training has the same bits; what is encoded is left alone',
  async () => {
    const config = await experiment('encoded', {
      custom_settings: { checkpointing_steps: STEPS, load_tensors: true },
    });
    expect(await failure(['train', config])).toMatch(
      /video_latents\/a\.safetensors \(or \.pt\): no such file \(and 2 more of 3\); run dwm encode first/,
    );
    const first = await run(['encode', config]);
    expect(first).toMatchObject({ code: 0, stdout: '12 files encoded, 0 were there already\n' });
    const second = await run(['encode', config]);
    expect(second).toMatchObject({ code: 0, stdout: '0 files encoded, 12 were there already\n' });
    expect(await run(['train', config])).toMatchObject({ code: 0 });
    expect(await weights('encoded')).toEqual(await weights('whole'));
  },
  PATIENCE,
);

test(
  'what is wrong with an experiment or its data is one line that names file and fix, before anything runs',
  async () => {
    const train = (name: string, training: object, sections: object = {}) =>
      experiment(name, training, sections).then((config) => failure(['train', config]));
    expect(await train('e1', { lora_rnk: 8 })).toMatch(
      /e1\.yaml: training\.lora_rnk: unknown key; did you mean training\.lora_rank\?$/,
    );
    expect(await train('e2', {}, { data: { dataset_file: join(folder, 'none.txt') } })).toMatch(
      /none\.txt: no such file or folder; check data\.dataset_file$/,
    );

    expect(await train('e0', {}, { model: { base_model_name_or_path: 'owner/name' } })).toBe(
      'error: owner/name: no such folder; give model.base_model_name_or_path the folder of a model, or fetch one: dwm download owner/name --out <dir>',
    );

    const data = join(folder, 'broken');
    await cp(join(folder, 'data'), data, { recursive: true });
    const list = join(folder, 'list.txt');
    const sizes = { height_buckets: 32, width_buckets: 48, frame_buckets: 5 };
    const broken = { data: { data_root: data, dataset_file: [list], ...sizes } };
    const longer = join(data, 's/videos_static/b.mp4');
    await writeVideo(longer, clip(9, 1));
    expect(await failure(['train', await experiment('e3', {}, broken)])).toMatch(
      /b\.mp4: has \d frames, but .*\.mp4 has \d; clips of one sample must show the same moments/,
    );
    await rm(join(data, 's/prompts_rewrite/c.txt'));
    expect(await failure(['train', await experiment('e4', {}, broken)])).toMatch(
      /prompts_rewrite\/c\.txt: no such file; write the caption of the clip into it$/,
    );
    await rm(join(data, 's/videos_hands/a.mp4'));
    await rm(longer);
    const config = await experiment('e5', {}, broken);
    expect(await failure(['train', config])).toMatch(
      /videos_hands\/a\.mp4: no such file \(and 1 more of 9\); add it, or take the clip out/,
    );
    // Encoding does what it can, and lists the rest.
    const errors = join(folder, 'errors');
    expect(
      await failure(['encode', config, '--overwrite', '--error-dir', errors, '--modalities', 'hand_videos']),
    ).toMatch(
      /^error: 2 files encoded, 0 were there already, 1 could not be encoded; they are listed in .*encode_e5_hand_videos_rank0\.json$/,
    );
    expect(JSON.parse(await readFile(join(errors, 'encode_e5_hand_videos_rank0.json'), 'utf8'))).toEqual([
      { src: join(data, 's/videos_hands/a.mp4'), reason: expect.stringContaining('no such file') },
    ]);
  },
  PATIENCE,
);
