/**
 * Models of whole numbers against the goldens of the original, through files: written by `quantizeModel`, in other
 * layouts, streamed; LoRAs beside them.
 */
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, constant, type Device, evaluate, spec, type Tensor } from '@dwm/core-tensor';
import { type SafetensorsTensor, toFloat16, toFloat32, toNumbers } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { randomNormals, relativeError, seeded } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { quantizeModel } from '../node/quantize/quantize-model.ts';
import { loadTransformer } from '../pipeline/load-transformer.ts';
import { readModelShapes } from '../pipeline/plan-model.ts';
import { timestepTable, transformer } from '../transformer/index.ts';
import { weighLora } from './low-rank.ts';
import { project, quantizedCount, requireTrainable } from './quantized.ts';

const golden = join(import.meta.dirname, '../../tests/golden/transformer_train');
const WEIGHTS = 'transformer/diffusion_pytorch_model.safetensors';
const LORA = join(golden, 'lora_trained');

let device: Device;
let io: Map<string, SafetensorsTensor>;
let made: string;
beforeAll(async () => {
  device = await openNodeDevice();
  io = await readSafetensors(join(golden, 'io.safetensors'));
  made = await mkdtemp(join(tmpdir(), 'dwm-quantized-'));
  // The golden base has no VAE, without which a folder is no model.
  const whole = join(made, 'whole');
  await cp(join(golden, 'base'), whole, { recursive: true });
  await mkdir(join(whole, 'vae'));
  await writeFile(join(whole, 'vae/config.json'), '{}');
  const none = new Map([['none', { dtype: 'F32' as const, shape: [1], data: new Float32Array(1) }]]);
  await saveSafetensors(join(whole, 'vae/diffusion_pytorch_model.safetensors'), none);
  for (const dtype of ['int8', 'int4'] as const)
    await quantizeModel(whole, join(made, dtype), { dtype, groupSize: 32 });
});
afterAll(async () => {
  device?.destroy();
  await rm(made, { recursive: true, force: true });
});

const wanted = (key: string) => toFloat32(io.get(key)!);

type Network = Awaited<ReturnType<typeof loadTransformer>>;

/** The prediction for the golden inputs, by a program that `reuse` may run again. */
async function predictor({ config, parameters }: Network) {
  const hidden = io.get('lora.step0.transformer_input')!;
  const text = io.get('in.prompt_embeds')!;
  const timesteps = toNumbers(io.get('in.timesteps')!);
  const inputs = {
    hidden: spec(hidden.shape),
    text: spec(text.shape),
    time: spec([timesteps.length, config.innerDim]),
  };
  const program = await compile(device, inputs, (x: Record<'hidden' | 'text' | 'time', Tensor>) => ({
    out: transformer(config, parameters, x),
  }));
  return {
    async run() {
      await program.run({
        hidden: toFloat32(hidden),
        text: toFloat32(text),
        time: timestepTable(timesteps, config.innerDim, config),
      });
      return (await program.outputs.out.read()) as Float32Array;
    },
    destroy: () => program.destroy(),
  };
}

async function predict(network: Network): Promise<Float32Array> {
  const program = await predictor(network);
  const out = await program.run();
  program.destroy();
  return out;
}

const load = async (folder: string, loras: readonly (readonly [path: string, weight: number])[] = []) =>
  loadTransformer(
    device,
    await openDirectory(folder),
    await Promise.all(loras.map(async ([path, weight]) => ({ folder: await openDirectory(path), weight }))),
    () => {},
  );

test.each([
  ['int8', 1e-2, 'i8'],
  ['int4', 0.2, 'i4'],
] as const)('%s with a LoRA beside it', async (dtype, bound, packed) => {
  const network = await load(join(made, dtype), [[LORA, 1]]);
  const { tensors } = network.parameters;
  // Two blocks: two modulations, four of attention, two of the feed-forward.
  expect(quantizedCount(tensors.keys())).toBe(16);
  expect(tensors.get('transformer_blocks.0.attn1.to_q.weight')!.dtype).toBe(packed);
  expect(tensors.get('transformer_blocks.0.norm1.linear.weight')!.dtype).toBe('i8');
  expect(network.lora).toMatchObject({ merged: 8 });
  expect(() => requireTrainable(network.parameters, 'folder')).toThrow('which cannot be trained on');
  const error = relativeError(await predict(network), wanted('lora.final.model_output_scale_1'));
  expect(error).toBeGreaterThan(1e-5);
  expect(error).toBeLessThan(bound);
  network.parameters.destroy();
});

/** Of a folder as if its VAE, which is empty, were not there. */
async function shapesOf(name: string) {
  const folder = await openDirectory(join(made, name));
  return readModelShapes({
    name: folder.name,
    exists: async (path) => !path.startsWith('vae/diffusion') && folder.exists(path),
    open: (path) => folder.open(path),
  });
}

test('a model that is not quantized yet is planned as it would be then', async () => {
  const [before, after] = await Promise.all(['whole', 'int8'].map(shapesOf));
  expect(before.quantized!('int8').stacked().shapes).toEqual(after.stacked().shapes);
  expect(before.stacked().shapes).not.toEqual(after.stacked().shapes);
  expect(after.quantized).toBeUndefined();
});

test('what is planned is what the weights take', async () => {
  const { stacked } = await shapesOf('int4');
  const { outerBytes, blocks, blockBytes } = stacked().shapes;
  const network = await load(join(made, 'int4'));
  expect(outerBytes + blocks * blockBytes).toBe(network.parameters.bytes);
  network.parameters.destroy();
});

test('a streamed block has the same bits, and its low-rank updates', async () => {
  const loras = [{ folder: await openDirectory(LORA) }];
  const folder = await openDirectory(join(made, 'int4'));
  const resident = await loadTransformer(device, folder, loras, () => {});
  const streamed = await loadTransformer(device, folder, loras, () => {}, { residentBlocks: 1 });
  const block = await streamed.stream!.block(1);
  const own = [...resident.parameters.tensors].filter(([name]) => name.startsWith('transformer_blocks.1.'));
  expect(Object.keys(block).sort()).toEqual(own.map(([name]) => name.slice(21)).sort());
  for (const [name, tensor] of own) expect(await block[name.slice(21)].read()).toEqual(await tensor.read());
  await streamed.stream!.destroy();
  for (const { parameters } of [resident, streamed]) parameters.destroy();
});

describe('LoRAs beside the weights', () => {
  test('two halves are the whole, and weights change at once', async () => {
    const merged = await load(join(golden, 'base'), [[LORA, 1]]);
    const want = await predict(merged);
    merged.parameters.destroy();
    const network = await load(join(golden, 'base'), [
      [LORA, 0.5],
      [LORA, 0.5],
    ]);
    const program = await predictor(network);
    expect(relativeError(await program.run(), want)).toBeLessThan(2e-6);
    for (const k of [0, 1]) weighLora(network.parameters, k, 0);
    const without = await program.run();
    expect(relativeError(without, want)).toBeGreaterThan(1e-4);
    weighLora(network.parameters, 1, 1);
    expect(relativeError(await program.run(), want)).toBeLessThan(2e-6);
    expect(() => weighLora(network.parameters, 2, 1)).toThrow('there is no LoRA 2 beside the weights');
    program.destroy();
    network.parameters.destroy();
  });

  test('one that changes whole weights only has a number, too, and nothing to weigh', async () => {
    const whole = join(made, 'lora-whole');
    await mkdir(whole);
    const data = new Float32Array(64 * 64).fill(0.01);
    await saveSafetensors(
      join(whole, 'pytorch_lora_weights.safetensors'),
      new Map([['transformer_blocks.0.attn1.to_q.diff', { dtype: 'F32' as const, shape: [64, 64], data }]]),
    );
    const network = await load(join(golden, 'base'), [
      [whole, 1],
      [LORA, 1],
    ]);
    const program = await predictor(network);
    const both = await program.run();
    expect(() => weighLora(network.parameters, 0, 0)).toThrow('there is no LoRA 0 beside the weights');
    weighLora(network.parameters, 1, 0);
    expect(relativeError(await program.run(), both)).toBeGreaterThan(1e-4);
    program.destroy();
    network.parameters.destroy();
  });
});

describe('layouts', () => {
  type Change = (tensors: Map<string, SafetensorsTensor>) => void;
  async function changed(dtype: 'int8' | 'int4', change: Change): Promise<string> {
    const folder = await mkdtemp(join(made, 'changed-'));
    await cp(join(made, dtype), folder, { recursive: true });
    const tensors = await readSafetensors(join(folder, WEIGHTS));
    change(tensors);
    await saveSafetensors(join(folder, WEIGHTS), tensors);
    return folder;
  }
  const modules = (tensors: Map<string, SafetensorsTensor>, end: string) =>
    [...tensors.keys()].flatMap((name) => (name.endsWith(end) ? [name.slice(0, -end.length)] : []));
  const rename = (tensors: Map<string, SafetensorsTensor>, from: string, to: string) => {
    tensors.set(to, tensors.get(from)!);
    tensors.delete(from);
  };

  const Q = 'transformer_blocks.1.attn1.to_q.weight';
  const V = 'transformer_blocks.1.attn1.to_v.weight';

  test('optimum-quanto names, scales in f16', async () => {
    const folder = await changed('int8', (tensors) => {
      for (const module of modules(tensors, '.weight_scale')) {
        rename(tensors, `${module}.weight`, `${module}.weight._data`);
        const { shape, data } = tensors.get(`${module}.weight_scale`)!;
        const half = { dtype: 'F16' as const, shape, data: toFloat16(data as Float32Array) };
        tensors.delete(`${module}.weight_scale`);
        tensors.set(`${module}.weight._scale`, half);
        tensors.set(`${module}.input_scale`, { dtype: 'F32', shape: [], data: Float32Array.of(1) });
      }
    });
    const [network, same] = [await load(folder), await load(join(made, 'int8'))];
    const [ours, theirs] = [same, network].map(({ parameters }) => parameters.tensors);
    expect(await theirs.get(Q)!.read()).toEqual(await ours.get(Q)!.read());
    const scales = (await ours.get(`${Q}_scale`)!.read()) as Float32Array;
    expect(await theirs.get(`${Q}_scale`)!.read()).toEqual(toFloat16(scales));
    for (const { parameters } of [network, same]) parameters.destroy();
  });

  test('fp8 with one scale for all, as ComfyUI has it, and without any', async () => {
    // 0x38 is 1 in e4m3, and 0xb8 is -1: the signs of the int8 model.
    let signs: Record<string, Float64Array> = {};
    const folder = await changed('int8', (tensors) => {
      for (const module of modules(tensors, '.weight_scale')) {
        const { shape, data } = tensors.get(`${module}.weight`)!;
        const bytes = Uint8Array.from(data as Int8Array, (q) => (q < 0 ? 0xb8 : 0x38));
        signs = {
          ...signs,
          [`${module}.weight`]: Float64Array.from(data as Int8Array, (q) => (q < 0 ? -1 : 1)),
        };
        tensors.set(`${module}.weight`, { dtype: 'F8_E4M3', shape, data: bytes });
        tensors.delete(`${module}.weight_scale`);
        if (!module.endsWith('to_v'))
          tensors.set(`${module}.scale_weight`, { dtype: 'F32', shape: [], data: Float32Array.of(1 / 16) });
      }
      tensors.set('scaled_fp8', { dtype: 'F8_E4M3', shape: [2], data: new Uint8Array(2) });
    });
    const { parameters } = await load(folder);
    expect(parameters.tensors.get(V)!.dtype).toBe('e4m3');
    const [n, k] = parameters.tensors.get(V)!.shape;
    const x = randomNormals(k, seeded(3));
    const { q, v } = await evaluate(device, {
      q: project(parameters, constant(x, [1, k]), Q),
      v: project(parameters, constant(x, [1, k]), V),
    });
    for (const [out, name, scale] of [[q, Q, 1 / 16] as const, [v, V, 1] as const]) {
      const want = Float32Array.from({ length: n }, (_, row) =>
        x.reduce((sum, value, i) => sum + scale * value * signs[name][row * k + i], 0),
      );
      expect(relativeError((await out.read()) as Float32Array, want)).toBeLessThan(1e-6);
      out.destroy();
    }
    parameters.destroy();
  });

  test.each<[string, 'int8' | 'int4', Change, string]>([
    [
      'a weight without its scale',
      'int8',
      (t) => t.delete('transformer_blocks.0.attn1.to_q.weight_scale'),
      'has no scale beside it: transformer_blocks.0.attn1.to_q.weight_scale is missing',
    ],
    [
      'scales that do not divide a row',
      'int8',
      (t) =>
        t.set('transformer_blocks.0.attn1.to_q.weight_scale', {
          ...{ dtype: 'F32', shape: [64, 3], data: new Float32Array(192) },
        }),
      'has scales [64,3], expected [64, 1] or groups of a multiple of 8',
    ],
    [
      'a zero point',
      'int4',
      (t) =>
        t.set('transformer_blocks.0.attn1.to_q.weight_zero_point', {
          ...{ dtype: 'I8', shape: [1], data: new Int8Array(1) },
        }),
      'is the zero point of a weight; quantize the model with symmetric scales',
    ],
    [
      'a projection of patches',
      'int8',
      (t) => {
        const { shape, data } = t.get('patch_embed.proj.weight')!;
        t.set('patch_embed.proj.weight', { dtype: 'I8', shape, data: new Int8Array(data.length) });
      },
      'has no scale beside it',
    ],
  ])('refuses %s', async (_, dtype, change, message) => {
    await expect(load(await changed(dtype, change))).rejects.toThrow(message);
  });

  test('a quantized model is not quantized again', async () => {
    await expect(quantizeModel(join(made, 'int8'), join(made, 'again'), { dtype: 'int8' })).rejects.toThrow(
      'the model is quantized already',
    );
  });

  test('a model is not quantized in its own place', async () => {
    const link = join(made, 'link');
    await symlink('whole', link);
    await expect(quantizeModel(join(made, 'whole'), link, { dtype: 'int8' })).rejects.toThrow(
      'is read, too; expected another folder to write',
    );
  });
});
