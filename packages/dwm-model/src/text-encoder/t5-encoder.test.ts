import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { type SafetensorsTensor, writeSafetensors } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { relativeError } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { checkT5 } from '../../tests/fixtures/t5.ts';
import { readT5Config } from './config.ts';
import { t5Parameters } from './network.ts';
import { T5Encoder } from './t5-encoder.ts';

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device.destroy());

const golden = join(import.meta.dirname, '../../tests/golden/t5');

describe('golden encoder', () => {
  test.each(['f32', 'f16'] as const)('%s', async (precision) => {
    const checks = await checkT5(device, golden, precision);
    expect(checks.length).toBeGreaterThan(6);
    for (const { name, error, tolerance } of checks) {
      // f32 is held to what the kernels reach, not to what the contract allows.
      expect(error, name).toBeLessThanOrEqual(precision === 'f32' ? 2e-6 : tolerance);
    }
  });
});

/** Odd sizes throughout; head width and bucket count are as small as they get. */
const json = {
  d_model: 13,
  d_kv: 8,
  d_ff: 21,
  num_layers: 2,
  num_heads: 3,
  vocab_size: 37,
  relative_attention_num_buckets: 6,
  relative_attention_max_distance: 11,
  feed_forward_proj: 'gated-gelu',
};
const ids = [Uint32Array.from({ length: 11 }, (_, i) => (i * 7) % 37), new Uint32Array(11).fill(5)];
const shape = [2, 11] as const;

type Dtype = 'F32' | 'F16' | 'BF16';

/** Multiples of 1/32 in [-1, 1), which all three dtypes hold exactly. */
function weight(dims: readonly number[], dtype: Dtype, seed: number): SafetensorsTensor {
  const count = dims.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: count }, (_, i) => {
    const bits = Math.imul(i + 1 + 1000 * seed, 0x9e3779b1) >>> 0;
    return ((bits >>> 26) - 32) / 32;
  });
  if (dtype === 'F32') return { dtype, shape: dims, data: values };
  const words = new Uint32Array(values.buffer);
  const half = (word: number) => {
    const exponent = (word >>> 23) & 0xff;
    return (
      ((word >>> 16) & 0x8000) | (exponent === 0 ? 0 : ((exponent - 112) << 10) | ((word >>> 13) & 0x3ff))
    );
  };
  const convert = dtype === 'F16' ? half : (word: number) => word >>> 16;
  return { dtype, shape: dims, data: Uint16Array.from(words, convert) };
}

async function modelFolder(options: { dtype: Dtype; tables: string[]; sharded?: boolean; extra?: string }) {
  const dir = await mkdtemp(join(tmpdir(), 'dwm-t5-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'config.json'), JSON.stringify(json));
  const [first, ...others] = options.tables;
  const specs = Object.entries(t5Parameters(readT5Config(json, 'config.json'), first));
  const tensors = new Map(specs.map(([name, spec], i) => [name, weight(spec.shape, options.dtype, i)]));
  for (const name of others) tensors.set(name, tensors.get(first)!);
  if (options.extra) tensors.set(options.extra, weight([3], 'F32', 0));
  if (!options.sharded) {
    await writeFile(join(dir, 'model.safetensors'), writeSafetensors(tensors));
    return openDirectory(dir);
  }
  const weightMap: Record<string, string> = {};
  for (const part of [0, 1]) {
    const file = `model-0000${part + 1}-of-00002.safetensors`;
    const members = [...tensors].filter((_, i) => i % 2 === part);
    for (const [name] of members) weightMap[name] = file;
    await writeFile(join(dir, file), writeSafetensors(new Map(members)));
  }
  const index = { metadata: { total_size: 0 }, weight_map: weightMap };
  await writeFile(join(dir, 'model.safetensors.index.json'), JSON.stringify(index));
  return openDirectory(dir);
}

async function embed(encoder: T5Encoder, mask?: Uint32Array[]): Promise<Float32Array> {
  const out = await encoder.encode(ids, shape, { mask });
  expect(out.shape).toEqual([2, 11, 13]);
  const values = (await out.read()) as Float32Array;
  out.destroy();
  return values;
}

const SHARED = 'shared.weight';
const EMBED = 'encoder.embed_tokens.weight';

test('every file layout and dtype gives the same embeddings, and 16-bit weights stay packed', async () => {
  const plain = await T5Encoder.load(device, await modelFolder({ dtype: 'F32', tables: [SHARED] }));
  const want = await embed(plain);
  const bytes = plain.parameters.bytes;
  plain.destroy();
  expect(want.some((value) => Math.abs(value) > 0.1)).toBe(true);
  for (const options of [
    { dtype: 'BF16', tables: [SHARED, EMBED], sharded: true },
    { dtype: 'F16', tables: [EMBED] },
  ] as const) {
    let last = [0, 0];
    const encoder = await T5Encoder.load(
      device,
      await modelFolder({ ...options, tables: [...options.tables] }),
      {
        onProgress: (...done) => {
          last = done;
        },
      },
    );
    expect(encoder.parameters.bytes).toBeLessThan(0.6 * bytes);
    expect(last[0]).toBe(last[1]);
    expect(relativeError(await embed(encoder), want)).toBeLessThan(1e-6);
    encoder.destroy();
  }
});

test('masked tokens change nothing for the others, and results do not overwrite each other', async () => {
  const encoder = await T5Encoder.load(device, await modelFolder({ dtype: 'F32', tables: [SHARED] }));
  const mask = [Uint32Array.from({ length: 11 }, (_, i) => (i < 7 ? 1 : 0)), new Uint32Array(11).fill(1)];
  const seen = await embed(encoder, mask);
  const unmasked = await embed(encoder);
  const first = await encoder.encode(ids, shape, { mask });
  const kept = ids[0].slice();
  ids[0].fill(9, 7);
  const second = await encoder.encode(ids, shape, { mask });
  ids[0].set(kept);
  const tokens = 7 * 13;
  expect(await first.read()).toEqual(seen);
  expect(((await second.read()) as Float32Array).slice(0, tokens)).toEqual(seen.slice(0, tokens));
  expect(relativeError(unmasked.slice(0, tokens), seen.slice(0, tokens))).toBeGreaterThan(1e-3);
  first.destroy();
  second.destroy();
  encoder.destroy();
});

test('everything it allocates is given back', async () => {
  const before = device.memory.allocated;
  const encoder = await T5Encoder.load(device, await modelFolder({ dtype: 'F32', tables: [SHARED] }));
  await embed(encoder);
  encoder.destroy();
  expect(device.memory.allocated).toBe(before);
});

test('says what is wrong with ids and files in one line', async () => {
  const encoder = await T5Encoder.load(device, await modelFolder({ dtype: 'F32', tables: [SHARED] }));
  await expect(encoder.encode([[37]], [1, 1])).rejects.toThrow(/ids: token 37 is outside .* 37/);
  await expect(encoder.encode([[-1]], [1, 1])).rejects.toThrow(/ids: token -1 /);
  await expect(encoder.encode([[1, 2]], [1, 3])).rejects.toThrow('ids: expected 1 rows of 3 values');
  encoder.destroy();
  const load = async (options: Parameters<typeof modelFolder>[0]) =>
    T5Encoder.load(device, await modelFolder(options));
  await expect(
    load({ dtype: 'F32', tables: [SHARED], extra: 'decoder.final_layer_norm.weight' }),
  ).rejects.toThrow(/model.safetensors: tensor decoder.final_layer_norm.weight is not part of this network/);
});
