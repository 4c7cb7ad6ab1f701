import {
  filesFolder,
  type SafetensorsTensor,
  toFloat16,
  toFloat32,
  writeSafetensors,
} from '@dwm/core-tensor/files';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { randomNormals, relativeError, seeded } from '@dwm/core-tensor/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { quantizeInt8 } from '../weights/quantize.ts';
import { CLIPModel } from './clip-model.ts';
import { readCLIPConfig } from './config.ts';
import { preprocess, readPreprocessing } from './preprocess.ts';
import { madeUpCLIP, madeUpConfig, madeUpPreprocessing, madeUpWeights } from './testing.ts';
import { endOfText } from './text.ts';

const device = await openNodeDevice();
afterAll(() => device.destroy());

const folder = (files: Record<string, string | Uint8Array>) =>
  filesFolder(Object.entries(files).map(([name, data]) => new File([data as BlobPart], name)));

type Rows = number[][];

/** PyTorch's definitions in double precision, of transformers' `modeling_clip.py`. */
function reference(weights: Map<string, SafetensorsTensor>, activation: string) {
  const get = (name: string) => toFloat32(weights.get(name)!);
  const rowsOf = (name: string): Rows => {
    const [rows, ...rest] = weights.get(name)!.shape;
    const width = rest.reduce((a, b) => a * b, 1);
    return Array.from({ length: rows }, (_, r) => [...get(name).subarray(r * width, (r + 1) * width)]);
  };
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const dense = (x: Rows, name: string): Rows => {
    const weight = rowsOf(`${name}.weight`);
    const bias = weights.has(`${name}.bias`) ? get(`${name}.bias`) : undefined;
    return x.map((row) => weight.map((w, o) => dot(row, w) + (bias?.[o] ?? 0)));
  };
  const norm = (x: Rows, name: string): Rows =>
    x.map((row) => {
      const mean = row.reduce((a, b) => a + b) / row.length;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
      const [gamma, beta] = [get(`${name}.weight`), get(`${name}.bias`)];
      return row.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * gamma[i] + beta[i]);
    });
  /** The integral of the normal density, by Simpson's rule. */
  const normalCdf = (x: number) => {
    const steps = 2000;
    let sum = 0;
    for (let i = 0; i <= steps; i++) {
      const weight = i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2;
      sum += weight * Math.exp(-(((x * i) / steps) ** 2) / 2);
    }
    return 0.5 + (sum * x) / (3 * steps * Math.sqrt(2 * Math.PI));
  };
  const act = (x: number) => x * (activation === 'gelu' ? normalCdf(x) : 1 / (1 + Math.exp(-1.702 * x)));
  const sum = (a: Rows, b: Rows): Rows => a.map((row, r) => row.map((value, c) => value + b[r][c]));

  const layers = (input: Rows, prefix: string, heads: number, causal: boolean): Rows => {
    let x = input;
    for (let i = 0; i < 2; i++) {
      const layer = `${prefix}.encoder.layers.${i}`;
      const normed = norm(x, `${layer}.layer_norm1`);
      const [q, k, v] = ['q', 'k', 'v'].map((p) => dense(normed, `${layer}.self_attn.${p}_proj`));
      const size = q[0].length / heads;
      const heard = q.map((query, t) =>
        query.map((_, c) => {
          const from = Math.floor(c / size) * size;
          const part = (row: number[]) => row.slice(from, from + size);
          const seen = causal ? t + 1 : k.length;
          const scores = k.slice(0, seen).map((key) => dot(part(query), part(key)) / Math.sqrt(size));
          const largest = Math.max(...scores);
          const shares = scores.map((score) => Math.exp(score - largest));
          const total = shares.reduce((a, b) => a + b);
          return shares.reduce((a, share, s) => a + (share / total) * v[s][c], 0);
        }),
      );
      x = sum(x, dense(heard, `${layer}.self_attn.out_proj`));
      const wide = dense(norm(x, `${layer}.layer_norm2`), `${layer}.mlp.fc1`);
      x = sum(
        x,
        dense(
          wide.map((row) => row.map(act)),
          `${layer}.mlp.fc2`,
        ),
      );
    }
    return x;
  };
  const unit = (x: number[]) => x.map((value) => value / Math.sqrt(dot(x, x)));
  return {
    text(ids: number[], pooledAt: number): number[] {
      const table = rowsOf('text_model.embeddings.token_embedding.weight');
      const places = rowsOf('text_model.embeddings.position_embedding.weight');
      const x = layers(
        sum(
          ids.map((id) => table[id]),
          places,
        ),
        'text_model',
        4,
        true,
      );
      return unit(dense([norm(x, 'text_model.final_layer_norm')[pooledAt]], 'text_projection')[0]);
    },
    image(pixels: Float32Array): number[] {
      const kernels = rowsOf('vision_model.embeddings.patch_embedding.weight');
      const tokens: Rows = [[...get('vision_model.embeddings.class_embedding')]];
      for (let y = 0; y < 32; y += 8) {
        for (let x = 0; x < 32; x += 8) {
          const patch: number[] = [];
          for (let c = 0; c < 3; c++)
            for (let dy = 0; dy < 8; dy++)
              for (let dx = 0; dx < 8; dx++) patch.push(pixels[(c * 32 + y + dy) * 32 + x + dx]);
          tokens.push(kernels.map((kernel) => dot(kernel, patch)));
        }
      }
      const placed = sum(tokens, rowsOf('vision_model.embeddings.position_embedding.weight'));
      const x = layers(norm(placed, 'vision_model.pre_layrnorm'), 'vision_model', 3, false);
      return unit(dense([norm(x, 'vision_model.post_layernorm')[0]], 'visual_projection')[0]);
    },
  };
}

const random = seeded(5);
const picture = (height: number, width: number) => ({
  data: Uint8Array.from(randomNormals(3 * height * width, random), (value) => 128 + 40 * value),
  ...{ frames: 1, height, width },
});

/** "the open drawer": bytes from `!` on, then those that end a word, then what is joined; see `madeUpVocabulary`. */
const code = (letter: string) => letter.charCodeAt(0) - 33;
const IDS = [194, 189, 192, 193, code('a'), code('w'), code('e'), 94 + code('r'), 195];

test.each([
  ['quick_gelu', 'F32'],
  ['gelu', 'F32'],
  ['quick_gelu', 'F16'],
] as const)('texts and pictures are those of float64: %s, %s', async (activation, dtype) => {
  const before = device.memory.allocated;
  const config = madeUpConfig();
  config.text_config.hidden_act = activation;
  config.vision_config.hidden_act = activation;
  const weights = madeUpWeights(config);
  for (const [name, tensor] of weights) {
    if (dtype === 'F16' && tensor.dtype === 'F32')
      weights.set(name, { ...tensor, dtype, data: toFloat16(tensor.data as Float32Array) });
  }
  const want = reference(weights, activation);
  const files = { ...madeUpCLIP(config), 'model.safetensors': writeSafetensors(weights) };
  const model = await CLIPModel.load(device, folder(files));

  const text = await model.embedText('The  OPEN drawer');
  expect(relativeError(text, want.text(IDS, IDS.length - 1))).toBeLessThan(2e-6);
  const frame = picture(41, 57);
  const pixels = preprocess(frame, readPreprocessing(madeUpPreprocessing(), 'p.json', 32));
  const image = await model.embedImage(frame);
  expect(relativeError(image, want.image(pixels))).toBeLessThan(2e-6);

  // Not by being the same whatever goes in.
  expect(relativeError(await model.embedText('open the drawer'), text)).toBeGreaterThan(0.1);
  expect(relativeError(await model.embedImage(picture(41, 57)), image)).toBeGreaterThan(0.1);
  model.destroy();
  expect(device.memory.allocated).toBe(before);
});

test('layers in int8 count with their scales; tables cannot be', async () => {
  const weights = madeUpWeights(madeUpConfig());
  const stored = new Map(weights);
  const quantize = (name: string) => {
    const { shape, data } = weights.get(name)!;
    const { numbers, scales } = quantizeInt8(data as Float32Array, shape[1]);
    const q = new Int8Array(numbers.buffer);
    stored.set(name, { dtype: 'I8', shape, data: q });
    stored.set(`${name}_scale`, { dtype: 'F32', shape: [shape[0], 1], data: scales });
    const meant = Float32Array.from(q, (value, i) => value * scales[Math.floor(i / shape[1])]);
    weights.set(name, { dtype: 'F32', shape, data: meant });
  };
  const load = () =>
    CLIPModel.load(device, folder({ ...madeUpCLIP(), 'model.safetensors': writeSafetensors(stored) }));
  quantize('text_projection.weight');
  for (const layer of ['self_attn.q_proj', 'self_attn.out_proj', 'mlp.fc1'])
    quantize(`text_model.encoder.layers.1.${layer}.weight`);
  const model = await load();
  const want = reference(weights, 'quick_gelu').text(IDS, IDS.length - 1);
  expect(relativeError(await model.embedText('The  OPEN drawer'), want)).toBeLessThan(2e-6);
  model.destroy();
  quantize('text_model.embeddings.position_embedding.weight');
  await expect(load()).rejects.toThrow(
    'position_embedding.weight is quantized, which only linear layers can be',
  );
});

test('a text that is too long is cut and ended, and the count is that of all of it', async () => {
  const model = await CLIPModel.load(device, folder(madeUpCLIP()));
  const want = reference(madeUpWeights(madeUpConfig()), 'quick_gelu');
  const ids = [194, ...new Array(11).fill(189), 195];
  expect(model.tokenCount('the '.repeat(30))).toBe(32);
  expect(relativeError(await model.embedText('the '.repeat(30)), want.text(ids, 12))).toBeLessThan(1e-5);
  model.destroy();
});

test('the text ends at the first end token; where that is 2, at the first of the largest ids', async () => {
  expect(endOfText(Uint32Array.of(9, 2, 4, 7, 7), 7)).toBe(3);
  expect(endOfText(Uint32Array.of(9, 2, 4, 7, 7), 2)).toBe(0);
  const config = madeUpConfig();
  config.text_config.eos_token_id = 195;
  const files = [madeUpCLIP(), madeUpCLIP(config)];
  const [a, b] = await Promise.all(files.map((f) => CLIPModel.load(device, folder(f))));
  expect(await a.embedText('the drawer')).toEqual(await b.embedText('the drawer'));
  // What a text says after its own end is not read.
  expect(await a.embedText('the drawer<|endoftext|> op')).toEqual(await a.embedText('the drawer'));
  a.destroy();
  b.destroy();
});

test('older files: settings in text_config_dict come first', () => {
  const { text_config: text, ...config } = madeUpConfig();
  const read = readCLIPConfig({ ...config, text_config: { hidden_size: 7 }, text_config_dict: text }, 'c');
  expect(read).toEqual(readCLIPConfig(madeUpConfig(), 'c'));
  const base = readCLIPConfig({ model_type: 'clip', text_config_dict: null }, 'c');
  expect(base.text).toMatchObject({ width: 512, heads: 8, vocabulary: 49408, positions: 77 });
  expect(base.vision).toMatchObject({ width: 768, heads: 12, imageSize: 224, patchSize: 32 });
});

describe('a folder that will not do is one line', () => {
  const json = (value: unknown) => JSON.stringify(value);
  const text = (change: object) => {
    const config = madeUpConfig();
    return json({ ...config, text_config: { ...config.text_config, ...change } });
  };
  const vision = (change: object) => {
    const config = madeUpConfig();
    return json({ ...config, vision_config: { ...config.vision_config, ...change } });
  };
  const processor = (change: object) => json({ ...madeUpPreprocessing(), ...change });
  const weights = (change: (tensors: Map<string, SafetensorsTensor>) => void) => {
    const tensors = madeUpWeights(madeUpConfig());
    change(tensors);
    return writeSafetensors(tensors);
  };

  test.each([
    ...['config.json', 'preprocessor_config.json', 'merges.txt'].map(
      (name) =>
        [name, undefined, new RegExp(`: holds no .*${name}; expected a CLIP model, its tokenizer`)] as const,
    ),
    ['vocab.json', undefined, /: holds no tokenizer\.json or vocab\.json; expected/],
    ['model.safetensors', undefined, /: holds no model\.safetensors or .*; expected/],
    [
      'config.json',
      '{"model_type": "siglip"}',
      /config\.json: model_type: expected "clip"; bring a CLIP model/,
    ],
    ['config.json', '{}', /config\.json: model_type: is missing; expected "clip"/],
    ['config.json', '{', /config\.json: not valid JSON/],
    [
      'config.json',
      text({ hidden_size: 33 }),
      /config\.json: text_config\.num_attention_heads: 4 heads of .* 33/,
    ],
    ['config.json', text({ hidden_act: 'relu' }), /config\.json: text_config\.hidden_act: .*quick_gelu/],
    [
      'config.json',
      text({ vocab_size: 195 }),
      /config\.json: text_config\.vocab_size: 195, but the tokenizer needs 196/,
    ],
    [
      'config.json',
      text({ eos_token_id: 7 }),
      /config\.json: text_config\.eos_token_id: 7, but the tokenizer needs 195/,
    ],
    [
      'config.json',
      text({ intermediate_size: 71 }),
      /fc1\.weight has shape \[70,32\], expected \[71,32\]; does config\.json/,
    ],
    [
      'config.json',
      vision({ patch_size: 9 }),
      /config\.json: vision_config\.patch_size: 9 does not divide image_size/,
    ],
    ['config.json', vision({ num_channels: 1 }), /config\.json: vision_config\.num_channels: .*3/],
    [
      'preprocessor_config.json',
      processor({ resample: 2 }),
      /preprocessor_config\.json: resample: expected 3/,
    ],
    [
      'preprocessor_config.json',
      processor({ size: { height: 32 } }),
      /size: expected a number of pixels, or \{"shortest_edge"/,
    ],
    ['preprocessor_config.json', processor({ size: 31 }), /size: a shortest edge of 31 .* crop of 32/],
    [
      'preprocessor_config.json',
      processor({ crop_size: 24 }),
      /crop_size: 24x24, but the network takes 32x32/,
    ],
    [
      'vocab.json',
      '{"a": 0}',
      /vocab\.json: <\|startoftext\|> is missing; expected the vocabulary of a CLIP/,
    ],
    ['merges.txt', '#version: 0.2\na b\na b c', /merges\.txt: line 3: expected two symbols .*"a b c"/],
    ['tokenizer.json', '{"model": {"type": "Unigram"}}', /tokenizer\.json: model\.type: expected "BPE"/],
    [
      'model.safetensors',
      weights((t) => t.delete('visual_projection.weight')),
      /tensor visual_projection\.weight is missing; expected shape \[18,36\]/,
    ],
    [
      'model.safetensors',
      weights((t) => t.set('lm_head', t.get('logit_scale')!)),
      /tensor lm_head is not part/,
    ],
  ] as const)('%s: %.40s', async (name, content, message) => {
    const { [name]: _, ...others } = madeUpCLIP();
    const files = content === undefined ? others : { ...others, [name]: content };
    const error = await CLIPModel.load(device, folder(files)).then(
      () => undefined,
      (problem: Error) => problem,
    );
    expect(error?.message).toMatch(message);
    expect(error?.message).not.toContain('\n');
    expect(error?.name).toBe('InvalidFileError');
  });
});
