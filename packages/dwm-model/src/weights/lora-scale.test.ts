/**
 * LoRAs of a made-up network of two layers, in every form that people have, against W + factor · B·A worked out here.
 */
import { type Device, DeviceTensor } from '@dwm/core-tensor';
import { filesFolder, writeSafetensors } from '@dwm/core-tensor/files';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFromLora } from '../training/export.ts';
import { PackedLayout } from '../training/packed.ts';
import { LORA_FILE, NON_LORA_FILE, openLora } from './lora-files.ts';
import { loraRemarks } from './lora-remarks.ts';
import { type MergedLora, mergeLora } from './merge-lora.ts';
import { Parameters } from './parameters.ts';

const Q = 'transformer_blocks.0.attn1.to_q';
const OUT = 'transformer_blocks.1.attn1.to_out.0';
const SHAPES: Record<string, number[]> = {
  [`${Q}.weight`]: [5, 3],
  [`${OUT}.weight`]: [3, 7],
  'patch_embed.proj.weight': [5, 3, 2, 2],
  'patch_embed.proj.bias': [5],
};
const values = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i));
const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const f32 = (shape: readonly number[], seed: number) => ({
  dtype: 'F32' as const,
  shape,
  data: values(count(shape), seed),
});
const one = (value: number) => ({
  dtype: 'F32' as const,
  shape: [] as number[],
  data: Float32Array.of(value),
});

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device.destroy());

type Tensors = Record<string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array }>;
const file = (name: string, content: Uint8Array | string) => {
  const made = new File([content as Uint8Array<ArrayBuffer>], name);
  Object.defineProperty(made, 'webkitRelativePath', { value: `lora/${name}` });
  return made;
};

interface Given {
  readonly tensors: Tensors;
  readonly metadata?: Record<string, string>;
  readonly beside?: unknown;
  readonly whole?: Tensors;
  readonly name?: string;
}

async function merge({ tensors, metadata, beside, whole, name = LORA_FILE }: Given) {
  const files = [file(name, writeSafetensors(new Map(Object.entries(tensors)), metadata))];
  if (beside) files.push(file('adapter_config.json', JSON.stringify(beside)));
  if (whole) files.push(file(NON_LORA_FILE, writeSafetensors(new Map(Object.entries(whole)))));
  const parameters = new Parameters(
    new Map(
      Object.entries(SHAPES).map(([name, shape], i) => {
        const tensor = new DeviceTensor(device, { shape, dtype: 'f32' }, name);
        tensor.write(values(count(shape), 10 * i));
        return [name, tensor];
      }),
    ),
  );
  const merged = await mergeLora(device, parameters, await openLora(filesFolder(files)));
  const read = async (name: string) => (await parameters.tensors.get(name)!.read()) as Float32Array;
  return { merged, q: await read(`${Q}.weight`), out: await read(`${OUT}.weight`), read };
}

/** W + factor · B·A of a layer, in f64. */
function expected(layer: string, factor: number, rank: number, [seedA, seedB]: [number, number]): number[] {
  const [rows, columns] = SHAPES[`${layer}.weight`];
  const at = Object.keys(SHAPES).indexOf(`${layer}.weight`);
  const [w, a, b] = [
    values(rows * columns, 10 * at),
    values(rank * columns, seedA),
    values(rows * rank, seedB),
  ];
  return [...w].map((x, i) => {
    const [y, c] = [Math.floor(i / columns), i % columns];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += b[y * rank + r] * a[r * columns + c];
    return x + factor * sum;
  });
}

const close = (got: Float32Array, want: readonly number[]) => {
  for (const [i, x] of want.entries()) expect(got[i]).toBeCloseTo(x, 5);
};

/** A of rank 4 for the one layer, of rank 2 for the other. */
const PAIRS: Tensors = {
  [`${Q}.lora_A.weight`]: f32([4, 3], 1),
  [`${Q}.lora_B.weight`]: f32([5, 4], 2),
  [`${OUT}.lora_A.weight`]: f32([2, 7], 3),
  [`${OUT}.lora_B.weight`]: f32([3, 2], 4),
};
const peft = (config: object) => ({
  lora_adapter_metadata: JSON.stringify(
    Object.fromEntries(Object.entries(config).map(([key, value]) => [`transformer.${key}`, value])),
  ),
});
const alphas = (q: number, out: number): Tensors => ({
  ...PAIRS,
  [`${Q}.alpha`]: one(q),
  [`${OUT}.alpha`]: one(out),
});

test.each<[string, Given, number, number]>([
  ['nobody says, two ranks: alpha is each rank', { tensors: PAIRS }, 1, 1],
  ['the header of diffusers', { tensors: PAIRS, metadata: peft({ r: 4, lora_alpha: 2 }) }, 0.5, 1],
  [
    'patterns of single layers',
    {
      tensors: PAIRS,
      metadata: peft({
        r: 4,
        lora_alpha: 4,
        rank_pattern: { 'to_out.0': 2 },
        alpha_pattern: { 'attn1.to_out.0': 6 },
      }),
    },
    1,
    3,
  ],
  [
    'patterns with wildcards',
    {
      tensors: PAIRS,
      beside: {
        ...{ r: 4, lora_alpha: 4, rank_pattern: { '.*to_out\\.\\d+': 2 } },
        alpha_pattern: { '^transformer_blocks\\.1\\.(?:attn1|ff)\\.to_out.*': 6 },
      },
    },
    1,
    3,
  ],
  [
    'a rank-stabilised one',
    { tensors: PAIRS, metadata: peft({ r: 4, lora_alpha: 6, use_rslora: true }) },
    3,
    6 / Math.SQRT2,
  ],
  ['the config beside it', { tensors: PAIRS, beside: { r: 4, lora_alpha: 12, use_rslora: false } }, 3, 6],
  [
    'the header before the config beside it',
    { tensors: PAIRS, metadata: peft({ r: 4, lora_alpha: 8 }), beside: { r: 4, lora_alpha: 1 } },
    2,
    4,
  ],
  ['tensors of alpha', { tensors: alphas(8, 1) }, 2, 0.5],
  ['an alpha of 0 is the rank', { tensors: alphas(0, 1) }, 1, 0.5],
  [
    'plain numbers of trainers',
    { tensors: PAIRS, metadata: { ss_network_dim: '4', ss_network_alpha: '1.0' } },
    0.25,
    0.5,
  ],
  ['a config of trainers', { tensors: PAIRS, metadata: { lora_config: '{"r":4,"lora_alpha":2}' } }, 0.5, 1],
  ['numbers that are none', { tensors: PAIRS, metadata: { ss_network_alpha: 'None' } }, 1, 1],
  [
    "PEFT's own folder",
    { tensors: PAIRS, beside: { r: 4, lora_alpha: 2 }, name: 'adapter_model.safetensors' },
    0.5,
    1,
  ],
])('%s', async (_, given, factorQ, factorOut) => {
  const { merged, q, out } = await merge(given);
  close(q, expected(Q, factorQ, 4, [1, 2]));
  close(out, expected(OUT, factorOut, 2, [3, 4]));
  expect(merged.merged).toBe(2);
  expect(merged.unused).toEqual([]);
});

const flat = (module: string) => module.replaceAll('.', '_');
test.each<[string, (module: string) => [down: string, up: string, alpha: string]]>([
  [
    'PEFT',
    (m) => [`base_model.model.${m}.lora_A.weight`, `base_model.model.${m}.lora_B.weight`, `${m}.alpha`],
  ],
  ['an adapter with a name', (m) => [`${m}.lora_A.mine.weight`, `${m}.lora_B.mine.weight`, `${m}.alpha`]],
  [
    'diffusers',
    (m) => [`transformer.${m}.lora_A.weight`, `transformer.${m}.lora_B.weight`, `transformer.${m}.alpha`],
  ],
  [
    'diffusers, older',
    (m) => [`transformer.${m}.lora.down.weight`, `transformer.${m}.lora.up.weight`, `${m}.lora.alpha`],
  ],
  [
    'diffusers, oldest',
    (m) => [`${m}.lora_linear_layer.down.weight`, `${m}.lora_linear_layer.up.weight`, `${m}.alpha`],
  ],
  [
    'processors',
    (m) => {
      const processor = m.replace('.attn1.', '.attn1.processor.').replace('to_out.0', 'to_out');
      return [`${processor}_lora.down.weight`, `${processor}_lora.up.weight`, `${m}.alpha`];
    },
  ],
  [
    'kohya',
    (m) => [
      `lora_unet_${flat(m)}.lora_down.weight`,
      `lora_unet_${flat(m)}.lora_up.weight`,
      `lora_unet_${flat(m)}.alpha`,
    ],
  ],
  [
    'kohya of VideoX-Fun',
    (m) => [
      `lora_unet__${flat(m)}.lora_down.weight`,
      `lora_unet__${flat(m)}.lora_up.weight`,
      `lora_unet__${flat(m)}.alpha`,
    ],
  ],
  ['loralib', (m) => [`${m}.lora_A`, `${m}.lora_B`, `${m}.lora_alpha`]],
  [
    'LyCORIS',
    (m) => [
      `lycoris_${flat(m)}.lora_down.weight`,
      `lycoris_${flat(m)}.lora_up.weight`,
      `lycoris_${flat(m)}.alpha`,
    ],
  ],
  [
    'a wrapper in a wrapper',
    (m) => [
      `module.base_model.model.transformer.${m}.lora_A.default.weight`,
      `module.base_model.model.transformer.${m}.lora_B.default.weight`,
      `transformer.${m}.alpha`,
    ],
  ],
  [
    'ComfyUI',
    (m) => [
      `diffusion_model.${m}.lora_down.weight`,
      `diffusion_model.${m}.lora_up.weight`,
      `diffusion_model.${m}.alpha`,
    ],
  ],
])('names of %s', async (_, names) => {
  const tensors: Tensors = {};
  for (const [module, alpha] of [
    [Q, 8],
    [OUT, 1],
  ] as const) {
    const [down, up, scale] = names(module);
    tensors[down] = PAIRS[`${module}.lora_A.weight`];
    tensors[up] = PAIRS[`${module}.lora_B.weight`];
    tensors[scale] = one(alpha);
  }
  const { merged, q, out } = await merge({ tensors });
  expect(merged.unused).toEqual([]);
  close(q, expected(Q, 2, 4, [1, 2]));
  close(out, expected(OUT, 0.5, 2, [3, 4]));
});

test('a convolution, and tensors trained whole under the names of wrappers', async () => {
  const bias = f32([5], 9);
  const { merged, read } = await merge({
    tensors: {
      'patch_embed.proj.lora_A.weight': f32([2, 3, 2, 2], 5),
      'patch_embed.proj.lora_B.weight': f32([5, 2, 1, 1], 6),
    },
    whole: {
      [`transformer.${Q}.base_layer.weight`]: f32([5, 3], 7),
      'base_model.model.patch_embed.proj.bias': bias,
    },
  });
  expect(merged).toMatchObject({ merged: 1, unused: [] });
  const [w, a, b] = [values(60, 20), values(24, 5), values(10, 6)];
  const want = [...w].map((x, i) => {
    const [y, c] = [Math.floor(i / 12), i % 12];
    return x + b[2 * y] * a[c] + b[2 * y + 1] * a[12 + c];
  });
  close(await read('patch_embed.proj.weight'), want);
  expect(await read('patch_embed.proj.bias')).toEqual(bias.data);
  expect(await read(`${Q}.weight`)).toEqual(values(15, 7));
});

test('every tensor that finds no place is named, and what was done with alpha', async () => {
  const stray = [
    'transformer_blocks.7.attn1.to_q.lora_A.weight',
    'text_encoder.x.lora_B.weight',
    'odd',
    `${Q}.scale`,
  ];
  const { merged } = await merge({
    tensors: { ...PAIRS, ...Object.fromEntries(stray.map((name) => [name, f32([4, 3], 0)])) },
    metadata: peft({ r: 8, lora_alpha: 2 }),
    whole: { 'patch.weight': f32([1], 0) },
  });
  expect([...merged.unused].sort()).toEqual([...stray, 'patch.weight'].sort());
  const { warnings, notes } = loraRemarks(merged, { file: 'dwm.yaml', alpha: 64 });
  expect(notes).toEqual([
    'LoRA: alpha 2 of rank 4 in 1 layers, as lora_adapter_metadata says: B·A counts 0.5 times',
  ]);
  for (const name of merged.unused) expect(warnings.join('\n')).toContain(name);
  expect(warnings.join('\n')).toContain('says rank 8, not 4 as its tensors have');
  expect(warnings.join('\n')).toContain('lora_alpha 64 in dwm.yaml differs from alpha 2');
  const silent: MergedLora = (await merge({ tensors: PAIRS })).merged;
  expect(loraRemarks(silent)).toEqual({ warnings: [], notes: [] });
  expect(loraRemarks(silent, { file: 'x.yaml', alpha: 4 }).warnings).toEqual([
    'lora_alpha 4 in x.yaml differs from the rank 2 in the file in 1 layers; alpha is set to the rank',
  ]);
});

test('a training that starts from a LoRA starts at the product that the file means', async () => {
  const layout = new PackedLayout(
    Object.fromEntries(Object.entries(PAIRS).map(([name, { shape }]) => [name, shape])),
  );
  const start = async (metadata?: Record<string, string>) => {
    const bytes = writeSafetensors(new Map(Object.entries(PAIRS)), metadata);
    // This run's alpha is twice its rank.
    return startFromLora(filesFolder([file(LORA_FILE, bytes)]), layout, 2);
  };
  const [silent, said] = [await start(), await start(peft({ r: 4, lora_alpha: 2 }))];
  expect(silent.note).toBeUndefined();
  expect(said.note).toContain('B is taken 0.25, 0.5 times');
  for (const [name, { data }] of Object.entries(PAIRS)) {
    expect(layout.values(silent.theta, name)).toEqual(data);
    const factor = !name.endsWith('lora_B.weight') ? 1 : name.startsWith(Q) ? 0.25 : 0.5;
    expect(layout.values(said.theta, name)).toEqual(data.map((x) => factor * x));
  }
});

test.each<[string, Given, string]>([
  [
    'a header that is no JSON',
    { tensors: PAIRS, metadata: { lora_adapter_metadata: '{' } },
    '__metadata__.lora_adapter_metadata: is not valid JSON',
  ],
  [
    'an alpha that is no number',
    { tensors: PAIRS, metadata: peft({ r: 4, lora_alpha: 'x' }) },
    'lora_alpha: expected a number above 0, got "x"',
  ],
  [
    'a pattern that never ends',
    { tensors: PAIRS, beside: { r: 4, lora_alpha: 4, alpha_pattern: { '([\\w.]+)*!': 2 } } },
    'alpha_pattern: "([\\\\w.]+)*!" may take forever to match; name the layers, or use at most 3 wildcards',
  ],
  [
    'one of too many wildcards',
    { tensors: PAIRS, beside: { r: 4, rank_pattern: { '.*.*.*.*!': 2 } } },
    'rank_pattern: ".*.*.*.*!" may take forever to match',
  ],
  [
    'DoRA in the header',
    { tensors: PAIRS, metadata: peft({ r: 4, lora_alpha: 4, use_dora: true }) },
    'use_dora: is DoRA',
  ],
  [
    'DoRA in the config beside it',
    { tensors: PAIRS, beside: { r: 4, use_dora: true } },
    'adapter_config.json: use_dora: is DoRA',
  ],
  [
    'a start that changed the base',
    { tensors: PAIRS, beside: { r: 4, lora_alpha: 4, init_lora_weights: 'pissa_niter_16' } },
    'pissa_niter_16 changes the base too',
  ],
  [
    'a start that quantised the base',
    { tensors: PAIRS, beside: { r: 4, lora_alpha: 4, init_lora_weights: 'loftq' } },
    'loftq changes the base too',
  ],
  [
    'another kind of adapter',
    { tensors: PAIRS, beside: { peft_type: 'ADALORA', r: 4, lora_alpha: 4 } },
    'peft_type: is ADALORA',
  ],
  [
    'AdaLoRA without a word',
    { tensors: { ...PAIRS, [`${Q}.lora_E`]: f32([4, 1], 5) } },
    `${Q}.lora_E: is AdaLoRA`,
  ],
  [
    'DoRA of torchtune',
    { tensors: { ...PAIRS, [`${Q}.magnitude`]: f32([5], 5) } },
    `${Q}.magnitude: is DoRA`,
  ],
  [
    'a bias of kohya',
    { tensors: { ...PAIRS, 'lora_unet_x.lora_up.bias': f32([5], 5) } },
    'lora_unet_x.lora_up.bias: is LoRA with a bias',
  ],
  [
    'two adapters in one file',
    { tensors: { ...PAIRS, [`${Q}.lora_A.second.weight`]: f32([4, 3], 5) } },
    'are about the same layer',
  ],
  [
    'a network of its own',
    { tensors: { 'blocks.0.q.lora_A.weight': f32([4, 3], 1) } },
    'holds no LoRA weights of this network; blocks.0.q.lora_A.weight',
  ],
])('refused: %s', async (_, given, message) => {
  await expect(merge(given)).rejects.toThrow(message);
});
