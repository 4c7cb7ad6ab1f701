import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { readExperimentFile } from '@dwm/dwm-model/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { readExperiment } from '../generate/experiment.ts';
import { modelFolder } from '../hub-folder.ts';
import type { Reporter } from '../report.ts';
import { dwm, ownLines, shared, temporaryFolder } from '../testing.ts';
import { readYamlFile } from '../yaml-file.ts';
import { readTrainingExperiment } from './experiment.ts';

let folder: string;
let said: string[] = [];
const reporter = {
  say: (line: string) => said.push(line),
  warn: (line: string) => said.push(line),
} as unknown as Reporter;
beforeAll(async () => {
  folder = await temporaryFolder();
});

const published = join(shared, 'originals/dwm_cogvideox_5b_lora.yaml');
const wan = join(shared, 'originals/dwm_wan_14b_lora.yaml');
const have = existsSync(published);

/** The overrides of the original's README for a smoke run. */
const SMOKE = [
  ...['training.batch_size=1', 'training.gradient_accumulation_steps=1', 'training.max_train_steps=1'],
  ...['training.lora_rank=8', 'training.lora_alpha=8', 'data.dataloader_num_workers=0'],
  ...['data.num_validation_videos=0', 'data.max_validation_videos=0', 'data.init_validation_steps=0'],
  ...['data.validation_steps=0', 'logging.report_to=none'],
];

describe.skipIf(!have)(`the published files${have ? '' : ' (skipped, no shared data)'}`, () => {
  test('train unchanged, and with the overrides of the README', async () => {
    said = [];
    const config = await readTrainingExperiment(published, SMOKE, reporter, { mode: 'debug' });
    expect(config).toMatchObject({
      experiment: { output_dir: 'outputs/dwm_cogvideox_5b_lora_debug' },
      training: {
        beta2: 0.95,
        lora_rank: 8,
        weight_decay: 0.01,
        custom_settings: { max_num_frames: 49, random_flip: false },
      },
      data: { validation_steps: 0, height_buckets: [480], width_buckets: [720] },
    });
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/^ignored: .*data\.pin_memory.*slurm, environment$/);
    const plain = await readTrainingExperiment(published, [], reporter);
    expect(plain.experiment.output_dir).toBe(join('outputs', 'dwm_cogvideox_5b_lora'));
  });

  test.each([
    ['CogVideoX', published],
    ['Wan', wan],
  ])('any key of the file of %s, misspelt, is refused with the one that was meant', async (_, file) => {
    const yaml = (await readYamlFile(file, [])) as Record<string, unknown>;
    const paths = (node: object, before: string[]): string[][] =>
      Object.entries(node).flatMap(([key, value]) => {
        const path = [...before, key];
        // What is in these sections is not ours to know.
        const open = ['slurm', 'environment', 'transformer'].includes(key) || Array.isArray(value);
        return [path, ...(typeof value === 'object' && value !== null && !open ? paths(value, path) : [])];
      });
    const all = paths(yaml, []);
    expect(all.length).toBeGreaterThan(50);
    for (const path of all) {
      const key = path.at(-1)!;
      const forms = [key[0] + key.slice(2), `${key}s`, key.toUpperCase()];
      forms.push(key.replaceAll(/_(.)/g, (_, c) => c.toUpperCase()));
      for (const form of forms.filter((form) => form !== key)) {
        const copy = structuredClone(yaml);
        const within = path.slice(0, -1).reduce((node, name) => node[name] as typeof yaml, copy);
        within[form] = within[key];
        delete within[key];
        const wrong = [...path.slice(0, -1), form].join('.');
        expect(() => readExperimentFile(copy, file)).toThrow(
          `${file}: ${wrong}: unknown key; did you mean ${path.join('.')}?`,
        );
      }
    }
  });

  test('one misspelt key is refused by name', async () => {
    await expect(readTrainingExperiment(published, ['training.lora_rnak=8'], reporter)).rejects.toThrow(
      'training.lora_rnak: unknown key; did you mean training.lora_rank?',
    );
  });

  test('Wan is read for inference and for training; of its types one is trained', async () => {
    expect(readExperimentFile(await readYamlFile(wan, []), wan).pipeline.type).toMatch(/^wan/);
    expect(await readExperiment(wan, [], reporter)).toMatchObject({
      type: 'wan2.1_fun_inp_hand_concat',
      baseModel: expect.stringContaining('Wan2.1-Fun-V1.1-14B-InP'),
    });
    const config = await readTrainingExperiment(wan, ['data.data_root=.'], reporter);
    expect(config.data.video_latents_subdir).toBe('video_latents_wan');
    await expect(
      readTrainingExperiment(wan, ['pipeline.type=wan2.1_fun_inp_hand_vace'], reporter),
    ).rejects.toThrow(
      /pipeline\.type: expected .*wan2.1_fun_inp_hand_concat.*; got wan2.1_fun_inp_hand_vace/,
    );
    const other = ['--override', 'pipeline.type=wan2.1_fun_inp_hand_vace', '--output_dir', 'o'];
    const ran = await dwm(['generate', '--experiment_config', wan, '--video', 'x.mp4', ...other]);
    expect(ran.code).toBe(1);
    expect(ownLines(ran).at(-1)).toMatch(/pipeline\.type: expected .*; got wan2\.1_fun_inp_hand_vace/);
  });
});

test('lists are looked for where we are, then below the data root; the mode names the folder', async () => {
  const root = join(folder, 'data');
  await mkdir(root);
  await writeFile(join(root, 'own.txt'), '');
  const file = join(folder, 'x.yaml');
  await writeFile(
    file,
    `experiment: { name: x, output_dir: ${folder}/out }\nmodel: { base_model_name_or_path: m }\ndata: { data_root: ${root}, dataset_file: [own.txt, package.json, none.txt], validation_set: own.txt }\nlogging: { report_to: wandb }\n`,
  );
  said = [];
  const { data, experiment } = await readTrainingExperiment(file, [], reporter, { mode: 'slurm_test' });
  expect(data.dataset_file.map(({ path }) => path)).toEqual([
    join(root, 'own.txt'),
    'package.json',
    'none.txt',
  ]);
  expect(data.validation_set).toEqual([join(root, 'own.txt')]);
  expect(experiment.output_dir).toBe(join(folder, 'out/x_slurm_test'));
  expect(said.join('\n')).toContain('nothing is written for wandb');
});

test('a hub id is a folder of the hub cache, where there is one; a path is itself', async () => {
  const before = process.env.HF_HOME;
  process.env.HF_HOME = folder;
  try {
    const cached = join(folder, 'hub/models--owner--some-model');
    expect(await modelFolder('owner/some-model')).toBe('owner/some-model');
    const snapshot = join(cached, 'snapshots/abc');
    await mkdir(join(snapshot, 'transformer'), { recursive: true });
    expect(await modelFolder('owner/some-model')).toBe(snapshot);
    await mkdir(join(cached, 'transformer'));
    expect(await modelFolder('owner/some-model')).toBe(cached);
    expect(await modelFolder(folder)).toBe(folder);
    expect(await modelFolder('/nowhere/x')).toBe('/nowhere/x');
    expect(await modelFolder('~/no-such-folder-here')).toBe(join(homedir(), 'no-such-folder-here'));
  } finally {
    if (before === undefined) delete process.env.HF_HOME;
    else process.env.HF_HOME = before;
  }
});
