import { expect, test } from 'vitest';
import { ignoredKeys, parseExperiment } from './config.ts';

const LEAST = { data: { dataset_file: 'a.txt' }, model: { base_model_name_or_path: 'm' } };
const parse = (training: object = {}, sections: object = {}) =>
  parseExperiment({ ...LEAST, training, ...sections }, 'x.yaml');

test("what is left out has the original's value", () => {
  const { training, data, experiment, logging } = parse();
  expect(training).toMatchObject({
    mode: 'lora',
    optimizer: 'adamw',
    weight_decay: 0,
    beta1: 0.9,
    beta2: 0.999,
    lr_scheduler: 'cosine',
    lr_warmup_steps: 0,
    lr_num_cycles: 1,
    max_grad_norm: 1,
    lora_rank: 64,
    lora_alpha: 64,
    trainable_parameter_patterns: [],
    frozen_parameter_patterns: [],
    prompt_dropout_prob: 0,
    hand_dropout_prob: 0,
  });
  expect(training.custom_settings).toMatchObject({
    mixed_precision: 'no',
    load_tensors: true,
    random_flip: false,
    enable_tiling: false,
    gradient_checkpointing: false,
    checkpointing_steps: 500,
    checkpoints_total_limit: null,
  });
  expect(data).toMatchObject({
    dataset_file: [{ path: 'a.txt' }],
    validation_steps: 0,
    num_validation_videos: 2,
    max_validation_videos: 4,
    validation_fps: 8,
    validation_use_dynamic_cfg: false,
  });
  expect(data.dataset_file[0].weight).toBeUndefined();
  expect(experiment.output_dir).toBe('outputs');
  expect(logging.log_steps).toBe(10);
});

test('values as PyYAML reads them', () => {
  const { training } = parse({
    learning_rate: '1e-4',
    beta2: '9.5e-1',
    custom_settings: { random_flip: false, mixed_precision: false, load_tensors: 'no', enable_tiling: 'yes' },
  });
  expect(training).toMatchObject({ learning_rate: 1e-4, beta2: 0.95 });
  expect(training.custom_settings).toMatchObject({
    mixed_precision: 'no',
    load_tensors: false,
    enable_tiling: true,
  });
  expect(parse({ custom_settings: { random_flip: 0.5 } }).training.custom_settings.random_flip).toBe(true);
  expect(
    parse({ custom_settings: { checkpointing_steps: 0 } }).training.custom_settings.checkpointing_steps,
  ).toBe(0);
  expect(parse({}, { logging: null }).logging.log_steps).toBe(10);
  const empty = { ...LEAST.data, validation_set: null, validation_steps: null };
  expect(parse({ seed: null, custom_settings: { load_tensors: null } }, { data: empty })).toMatchObject({
    data: { validation_set: [], validation_steps: 0 },
    training: { seed: 42, custom_settings: { load_tensors: true } },
  });
  expect(() => parse({ lora_rnk: null })).toThrow('did you mean training.lora_rank?');
  expect(() => parse({ learning_rate: 'fast' })).toThrow('x.yaml: training.learning_rate: ');
});

test('keys that mean nothing here are taken and listed', () => {
  const yaml = {
    ...LEAST,
    data: { ...LEAST.data, pin_memory: true, dataloader_num_workers: 4, split_hands: false },
    training: { custom_settings: { allow_tf32: true, enable_slicing: true } },
    logging: { report_to: 'none', log_steps: 3 },
    slurm: { nodes: 1 },
    environment: { anything: 'goes' },
  };
  expect(parseExperiment(yaml, 'x.yaml').logging.log_steps).toBe(3);
  expect(ignoredKeys(yaml)).toEqual([
    'data.pin_memory',
    'data.dataloader_num_workers',
    'training.custom_settings.allow_tf32',
    'training.custom_settings.enable_slicing',
    'logging.report_to',
    'slurm',
    'environment',
  ]);
  expect(ignoredKeys(LEAST)).toEqual([]);
});

test.each<[string, object, object, string]>([
  [
    'a letter left out',
    { lora_rnk: 8 },
    {},
    'training.lora_rnk: unknown key; did you mean training.lora_rank?',
  ],
  [
    'another section',
    { validation_steps: 8 },
    {},
    'training.validation_steps: unknown key; did you mean data.validation_steps?',
  ],
  [
    'below a section',
    { custom_settings: { enable_tilling: true } },
    {},
    'did you mean training.custom_settings.enable_tiling?',
  ],
  ['a section', {}, { loging: {} }, 'x.yaml: loging: unknown key; did you mean logging?'],
  ['a model', {}, { model: { base_model: 'x' } }, 'model.base_model: unknown key'],
  [
    'an experiment',
    {},
    { experiment: { nmae: 'x' } },
    'experiment.nmae: unknown key; did you mean experiment.name?',
  ],
  ['a logger', {}, { logging: { logsteps: 1 } }, 'did you mean logging.log_steps?'],
  ['capitals', { LORA_RANK: 8 }, {}, 'training.LORA_RANK: unknown key; did you mean training.lora_rank?'],
  [
    'words run together',
    {},
    { model: { baseModelNameOrPath: 'x' } },
    'did you mean model.base_model_name_or_path?',
  ],
  ['nothing like it', { zzzzzzzzzz: 1 }, {}, 'training.zzzzzzzzzz: unknown key'],
])('an unknown key is refused by name: %s', (_, training, sections, message) => {
  expect(() => parse(training, sections)).toThrow(message);
});

test('all unknown keys are named at once', () => {
  expect(() =>
    parse({ lora_rnk: 8, custom_settings: { tf32: true } }, { data: { dataset_files: 'x' } }),
  ).toThrow(
    /training\.lora_rnk.*, .*training\.custom_settings\.tf32|training\.custom_settings\.tf32.*training\.lora_rnk/,
  );
});

test('a type of another pipeline, and a base that nobody names, are refused', () => {
  expect(() => parse({}, { pipeline: { type: 'ltx' } })).toThrow(
    /pipeline\.type: expected one of .*cogvideox_fun_static_hand_concat.*; got ltx/,
  );
  expect(() => parse({}, { model: {} })).toThrow('model.base_model_name_or_path: is missing');
  const wan = { pipeline: { type: 'wan2.1_fun_inp_hand_concat', base_model_name_or_path: 'w' }, model: {} };
  expect(parse({}, wan).model.base_model_name_or_path).toBe('w');
});
