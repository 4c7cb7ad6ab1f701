import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { Reporter } from '../report.ts';
import { temporaryFolder } from '../testing.ts';
import { findExperiment, readExperiment } from './experiment.ts';

let folder: string;
let said: string[] = [];
const reporter = { say: (line: string) => said.push(line) } as unknown as Reporter;
beforeAll(async () => {
  folder = await temporaryFolder();
});

async function read(yaml: string, overrides: string[] = []) {
  const file = join(folder, 'dwm.yaml');
  await writeFile(file, yaml);
  said = [];
  return readExperiment(file, overrides, reporter);
}

const YAML = `
experiment: { name: dwm }
training:
  lora_alpha: 64 # as the rank
  custom_settings: { mixed_precision: bf16 }
data: { data_root: /data, dataset_file: [a.txt] }
model:
  base_model_name_or_path: alibaba-pai/CogVideoX-Fun-V1.1-5b-InP
`;

test("reads what inference needs; an override changes it; what is left out is the model's own", async () => {
  expect(await read(YAML)).toEqual({
    file: join(folder, 'dwm.yaml'),
    mode: 'lora',
    conditioning: 'dwm',
    baseModel: 'alibaba-pai/CogVideoX-Fun-V1.1-5b-InP',
    dataRoot: '/data',
    loraAlpha: 64,
    promptSubdir: 'prompts_rewrite',
    staticSubdir: 'videos_static',
    handSubdir: 'videos_hands',
    tiling: false,
    lightx2v: {},
  });
  expect(said).toEqual([]);
  const changed = [
    'data.data_root=/other',
    'training.lora_alpha=32',
    'training.custom_settings.max_num_frames=17',
    'training.custom_settings.enable_tiling=true',
    'data.height_buckets=64',
    'data.width_buckets=96',
    'data.prompt_subdir=said',
    'data.static_video_subdir=still',
    'data.hand_video_subdir=mine',
    'training.mode=full',
    'data.pin_memory=true',
  ];
  expect(await read(YAML, changed)).toMatchObject({
    dataRoot: '/other',
    loraAlpha: 32,
    numFrames: 17,
    height: 64,
    width: 96,
    tiling: true,
    promptSubdir: 'said',
    staticSubdir: 'still',
    handSubdir: 'mine',
    mode: 'full',
  });
  expect(said).toEqual(['ignored: data.pin_memory']);
  expect(await read('training: {}', ['data.data_root=/new'])).toMatchObject({ dataRoot: '/new' });
  expect(await readExperiment(undefined, [], reporter)).toEqual({});
});

test('the experiment of a checkpoint is the first file beside it, or beside its folder', async () => {
  const run = join(folder, 'run');
  await mkdir(join(run, 'checkpoint-5'), { recursive: true });
  expect(await findExperiment(run)).toBeUndefined();
  for (const name of ['b.yaml', 'a.yml', 'c.txt']) await writeFile(join(run, name), '');
  expect(await findExperiment(run)).toBe(join(run, 'a.yml'));
  expect(await findExperiment(join(run, 'checkpoint-5'))).toBe(join(run, 'a.yml'));
  expect(await findExperiment(undefined)).toBeUndefined();
});

test.each([
  ['no equals sign', 'data.data_root', 'override: expected section.key=value, got "data.data_root"'],
  ['no key', '=3', 'override: expected section.key=value, got "=3"'],
  ['an empty key', 'data..x=3', 'override: expected section.key=value, got "data..x=3"'],
  ['a misspelt key', 'data.dat_root=/x', 'data.dat_root: unknown key; did you mean data.data_root?'],
  ['another type', 'training.lora_alpha=high', 'dwm.yaml: training.lora_alpha: '],
  ['broken YAML', 'data.data_root=[', 'override: "data.data_root=[" cannot be set in '],
])('refuses an override with %s in one line', async (_, override, message) => {
  const error = await read(YAML, [override]).then(
    () => expect.fail('was accepted'),
    (e) => e,
  );
  expect(error.message).toContain(message);
  expect(error.message.split('\n')).toHaveLength(1);
});

test('refuses an override below a plain value, a file that is no YAML, and none at all', async () => {
  await expect(read('model: x', ['model.base_model_name_or_path=y'])).rejects.toThrow(
    'override: "model.base_model_name_or_path=y" cannot be set in',
  );
  await expect(read('a: [1')).rejects.toThrow('dwm.yaml: not valid YAML: ');
  await expect(readExperiment(join(folder, 'no.yaml'), [], reporter)).rejects.toThrow(
    'no.yaml: no such file or folder',
  );
  await expect(readExperiment(undefined, ['a.b=1'], reporter)).rejects.toThrow(
    'override: needs --experiment-config',
  );
});

test('aliases to nothing, and those that multiply, are no YAML', async () => {
  await expect(read('a: *b')).rejects.toThrow('dwm.yaml: not valid YAML: Unresolved alias');
  const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 9; i++)
    bomb.push(
      `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    );
  await expect(read(bomb.join('\n'))).rejects.toThrow('dwm.yaml: not valid YAML: Excessive alias count');
});
