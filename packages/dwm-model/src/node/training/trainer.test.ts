import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openDirectory, openNodeDevice, readSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadTransformer } from '../../pipeline/load-transformer.ts';
import { TINY_MODEL, type TinyRun, tinyOptions, tinyRun } from './testing.ts';
import { train } from './trainer.ts';

let tiny: TinyRun;
beforeAll(async () => {
  tiny = await tinyRun();
});
afterAll(() => rm(tiny.folder, { recursive: true }));

const bytes = (output: string, step: number, file = 'optimizer.safetensors') =>
  readFile(join(tiny.folder, output, `checkpoint-${step}`, file));

test.each([
  ['lora', {}],
  [
    'lora, accumulated, blocks recomputed',
    {
      gradient_accumulation_steps: 2,
      custom_settings: { load_tensors: true, checkpointing_steps: 2, gradient_checkpointing: true },
    },
  ],
  ['full', { mode: 'full', learning_rate: 1e-3 }],
  [
    'lora, averaged, moments of 8 bits, products in f16',
    {
      ema_decay: 0.9,
      optimizer: 'AdamW8bit',
      custom_settings: { load_tensors: true, checkpointing_steps: 2, mixed_precision: 'fp16' },
    },
  ],
])(
  '%s: stopped after any step and resumed, the bits are those of a run never stopped',
  async (name, training) => {
    const whole = await train(tinyOptions(tiny.config(`${name} whole`, training)));
    expect(whole).toMatchObject({ step: 6, stopped: false });
    for (const stopAt of name === 'lora' ? [1, 3, 4] : [3]) {
      const output = `${name} ${stopAt}`;
      const config = tiny.config(output, training);
      const controller = new AbortController();
      const first = await train({
        ...tinyOptions(config),
        signal: controller.signal,
        onEvent: (event) => {
          if (event.kind === 'step' && event.step === stopAt) controller.abort();
        },
      });
      expect(first).toMatchObject({ step: stopAt, stopped: true });
      const second = await train({ ...tinyOptions(config), resume: 'latest' });
      expect(second.losses).toEqual(whole.losses);
      expect(await bytes(output, 6)).toEqual(await bytes(`${name} whole`, 6));
    }
  },
  300_000,
);

test('change_weight and huber_c reach the loss of DWM', async () => {
  const first = async (output: string, settings: { change_weight?: number; huber_c?: number }) => {
    const config = tiny.config(output, { max_train_steps: 1, ...settings });
    return (await train(tinyOptions(config))).losses[0].loss;
  };
  const plain = await first('plain', {});
  expect(await first('weighted', { change_weight: 5 })).toBeGreaterThan(2 * plain);
  expect(await first('robust', { huber_c: 0.1 })).toBeLessThan(plain / 2);
}, 120_000);

test('captions of other clips and matched clips reach the batches', async () => {
  const list = join(tiny.folder, 'list.txt');
  await cp(join(tiny.folder, 'data/sample'), join(tiny.folder, 'matched/sample'), { recursive: true });
  const latents = (stem: string) => `sample/video_latents/${stem}.safetensors`;
  await cp(join(tiny.folder, 'data', latents('a')), join(tiny.folder, 'matched', latents('b')));
  await cp(join(tiny.folder, 'data', latents('b')), join(tiny.folder, 'matched', latents('c')));
  await cp(join(tiny.folder, 'data', latents('c')), join(tiny.folder, 'matched', latents('a')));
  const first = async (output: string, settings: object, matched: { path: string; root?: string }[] = []) => {
    const config = tiny.config(output, {
      max_train_steps: 1,
      batch_size: 2,
      hand_dropout_prob: 0,
      ...settings,
    });
    const dataset_file = [{ path: list, weight: 1, root: undefined, matched }];
    const data = { ...config.data, dataset_file };
    return (await train(tinyOptions({ ...config, data }))).losses[0].loss;
  };
  const plain = await first('own captions', {});
  expect(await first('their captions', { prompt_swap_prob: 1 })).not.toBe(plain);
  expect(await first('alone', {}, [])).toBe(plain);
  const root = join(tiny.folder, 'matched');
  expect(await first('in pairs', {}, [{ path: list, root }])).not.toBe(plain);
}, 120_000);

test('what is exported is the running average, what goes on are the weights themselves', async () => {
  const folder = join(tiny.folder, 'lora, averaged, moments of 8 bits, products in f16 whole/checkpoint-6');
  const tensors = await readSafetensors(join(folder, 'optimizer.safetensors'));
  expect([...tensors.keys()]).toEqual(['theta', 'codes', 'maxima', 'ema']);
  expect(tensors.get('codes')!.dtype).toBe('U32');
  const lora = await readSafetensors(join(folder, 'pytorch_lora_weights.safetensors'));
  const all = (name: string) => new Set([...(tensors.get(name)!.data as Float32Array)]);
  const [average, theta] = [all('ema'), all('theta')];
  const trained = [...lora]
    .filter(([name]) => name.endsWith('lora_B.weight'))
    .flatMap(([, { data }]) => [...(data as Float32Array)]);
  expect(trained.every((value) => average.has(value))).toBe(true);
  expect(trained.filter((value) => theta.has(value)).length).toBeLessThan(trained.length / 10);
  const state = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8'));
  expect(state.lossScale).toEqual({ scale: 65536, good: 6, skipped: 0 });
  const other = tiny.config('lora, averaged, moments of 8 bits, products in f16 whole', { ema_decay: 0.9 });
  await expect(train({ ...tinyOptions(other), resume: 'latest' })).rejects.toThrow(
    /m: expected F32 \[\d+\], found none; check training.optimizer and ema_decay/,
  );
}, 60_000);

test('checkpoints: the last ones and the best are kept, with the original names; a LoRA merges and goes on', async () => {
  const folder = join(tiny.folder, 'lora whole');
  const names = (await readdir(folder)).filter((name) => name.startsWith('checkpoint'));
  expect(names.sort()).toEqual(['checkpoint-2', 'checkpoint-4', 'checkpoint-6']);
  const last = join(folder, 'checkpoint-6');
  const lora = await readSafetensors(join(last, 'pytorch_lora_weights.safetensors'));
  const whole = await readSafetensors(join(last, 'non_lora_weights.safetensors'));
  expect([...lora.keys()].slice(0, 3)).toEqual([
    'transformer_blocks.0.attn1.to_k.lora_A.weight',
    'transformer_blocks.0.attn1.to_k.lora_B.weight',
    'transformer_blocks.0.attn1.to_out.0.lora_A.weight',
  ]);
  expect([...whole.keys()]).toEqual(['patch_embed.proj.bias', 'patch_embed.proj.weight']);
  expect(await readFile(join(folder, 'loss.svg'), 'utf8')).toContain('<svg');

  const device = await openNodeDevice();
  const merged = await loadTransformer(
    device,
    await openDirectory(TINY_MODEL),
    await openDirectory(last),
    () => {},
  );
  expect(merged.lora).toMatchObject({
    merged: lora.size / 2,
    scales: [{ alpha: 4, rank: 4, source: 'lora_adapter_metadata' }],
    unused: [],
  });
  device.destroy();

  const start = await train({
    ...tinyOptions(tiny.config('from lora', { max_train_steps: 1, lr_warmup_steps: 1 })),
    resume: await loraFolder(last),
  });
  expect(start.step).toBe(1);
  // The first step of the warm-up has rate 0, so what comes out is what went in.
  for (const file of ['pytorch_lora_weights.safetensors', 'non_lora_weights.safetensors'])
    expect(await bytes('from lora', 1, file)).toEqual(await readFile(join(last, file)));
}, 120_000);

/** The two weight files alone, as someone else's release comes. */
async function loraFolder(checkpoint: string): Promise<string> {
  const folder = join(tiny.folder, 'release');
  await cp(checkpoint, folder, { recursive: true });
  await rm(join(folder, 'state.json'));
  await rm(join(folder, 'optimizer.safetensors'));
  return folder;
}

test('a lost device is reopened, and the run ends with the same bits', async () => {
  const config = tiny.config('lost');
  let opened = 0;
  let destroy = () => {};
  const result = await train({
    ...tinyOptions(config),
    openDevice: async () => {
      opened++;
      const device = await openNodeDevice();
      destroy = () => device.destroy();
      return device;
    },
    onEvent: (event) => {
      if (event.kind === 'step' && event.step === 3 && opened === 1) destroy();
    },
  });
  expect(opened).toBe(2);
  expect(result.step).toBe(6);
  expect(await bytes('lost', 6)).toEqual(await bytes('lora whole', 6));
}, 120_000);

test('a loss that is not a number stops the run; --debug-nan names the tensor', async () => {
  const config = tiny.config('nan', {
    learning_rate: 1e30,
    lr_warmup_steps: 0,
    custom_settings: { load_tensors: true, checkpointing_steps: 1 },
  });
  await expect(train({ ...tinyOptions(config), debugNan: true })).rejects.toThrow(
    /not a finite number; .*first bad tensor is \w+/,
  );
  const kept = (await readdir(join(tiny.folder, 'nan'))).filter((name) => name.startsWith('checkpoint-'));
  expect(kept.length).toBeGreaterThan(0);
}, 60_000);

test('a checkpoint of other weights is refused', async () => {
  const config = tiny.config('lora whole', { lora_rank: 2 });
  await expect(train({ ...tinyOptions(config), resume: 'latest' })).rejects.toThrow('check mode, lora_rank');
});

test('validation comes before the first step, every so many steps, and at the end, of as many clips as the original shows', async () => {
  const seen = async (output: string, data: object) => {
    const config = tiny.config(output, { max_train_steps: 3 });
    const shown: string[] = [];
    await train({
      ...tinyOptions({
        ...config,
        data: { ...config.data, validation_set: [join(tiny.folder, 'list.txt')], ...data },
      }),
      validate: async (_, samples, step) => {
        shown.push(`${step} ${samples.map(({ name }) => name.at(-5)).join('')}`);
      },
    });
    return shown;
  };
  // Before: the lesser of the two numbers; in between: num_validation_videos; at the end: max_validation_videos.
  const numbers = { num_validation_videos: 1, max_validation_videos: 2 };
  expect(await seen('shown', { ...numbers, validation_steps: 2 })).toEqual(['0 a', '2 a', '3 ab']);
  // 0 turns off those in between.
  expect(await seen('shown twice', { validation_steps: 0 })).toEqual(['0 ab', '3 abc']);
  const none = { num_validation_videos: 0, max_validation_videos: 0, validation_steps: 1 };
  expect(await seen('shown never', none)).toEqual([]);
}, 300_000);
