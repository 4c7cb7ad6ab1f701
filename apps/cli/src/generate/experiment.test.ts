import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { readExperiment } from './experiment.ts';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});

async function read(yaml: string, overrides: string[] = []) {
  const file = join(folder, 'dwm.yaml');
  await writeFile(file, yaml);
  return readExperiment(file, overrides);
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

test('reads model, data root and alpha; an override changes them', async () => {
  expect(await read(YAML)).toEqual({
    baseModel: 'alibaba-pai/CogVideoX-Fun-V1.1-5b-InP',
    dataRoot: '/data',
    loraAlpha: 64,
  });
  const changed = [
    'data.data_root=/other',
    'training.lora_alpha=32',
    'training.custom_settings.mixed_precision=no',
  ];
  expect(await read(YAML, changed)).toMatchObject({ dataRoot: '/other', loraAlpha: 32 });
  expect(await read('training: {}', ['data.data_root=/new'])).toMatchObject({ dataRoot: '/new' });
  expect(await readExperiment(undefined, [])).toEqual({});
});

test.each([
  ['no equals sign', 'data.data_root', 'override: expected section.key=value, got "data.data_root"'],
  ['no key', '=3', 'override: expected section.key=value, got "=3"'],
  ['an empty key', 'data..x=3', 'override: expected section.key=value, got "data..x=3"'],
  ['a misspelt key', 'data.dat_root=/x', 'dwm.yaml has no data.dat_root; inference reads model.base_model'],
  ['another type', 'training.lora_alpha=high', 'dwm.yaml: training.lora_alpha: expected a number'],
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
  await expect(readExperiment(join(folder, 'no.yaml'), [])).rejects.toThrow(
    'no.yaml: no such file or folder',
  );
  await expect(readExperiment(undefined, ['a.b=1'])).rejects.toThrow('override: needs --experiment-config');
});
