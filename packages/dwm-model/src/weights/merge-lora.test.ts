import { cp, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, type Device, InvalidFileError, spec, type Tensor } from '@dwm/core-tensor';
import {
  type ModelFolder,
  openCheckpoint,
  type SafetensorsTensor,
  toFloat32,
  toNumbers,
} from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { relativeError } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadTransformer } from '../pipeline/load-transformer.ts';
import { timestepTable, transformer, transformerParameters } from '../transformer/index.ts';
import { closeLora, LORA_FILE, NON_LORA_FILE, openLora } from './lora-files.ts';
import { loraNeeds, mergeLora } from './merge-lora.ts';
import { loadParameters } from './parameters.ts';

const golden = join(import.meta.dirname, '../../tests/golden/transformer_train');

let device: Device;
let io: Map<string, SafetensorsTensor>;
let base: ModelFolder;
beforeAll(async () => {
  device = await openNodeDevice();
  io = await readSafetensors(join(golden, 'io.safetensors'));
  base = await openDirectory(join(golden, 'base'));
});
afterAll(() => device?.destroy());

type Network = Pick<Awaited<ReturnType<typeof loadTransformer>>, 'config' | 'parameters'>;

/** The prediction for the golden text and timesteps. */
async function predict({ config, parameters }: Network, hidden: SafetensorsTensor): Promise<Float32Array> {
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
  await program.run({
    hidden: toFloat32(hidden),
    text: toFloat32(text),
    time: timestepTable(timesteps, config.innerDim, config),
  });
  const out = (await program.outputs.out.read()) as Float32Array;
  program.destroy();
  return out;
}

const load = async (lora?: string) =>
  loadTransformer(device, base, lora === undefined ? undefined : await openDirectory(lora), () => {});

describe('golden', () => {
  test.each(['lora_trained', 'lora_trained_prefixed'])('%s on the base', async (name) => {
    const network = await load(join(golden, name));
    // Two blocks of to_q, to_k, to_v and to_out.0.
    expect(network.lora).toMatchObject({ merged: 8, scales: [{ rank: 4, factor: 1 }], unused: [] });
    expect(network.config.in_channels).toBe(49);
    const got = await predict(network, io.get('lora.step0.transformer_input')!);
    const want = toFloat32(io.get('lora.final.model_output_scale_1')!);
    expect(relativeError(got, want)).toBeLessThan(2e-5);
    // The weights at alpha over rank give other numbers, so the scale is the right one.
    const other = toFloat32(io.get('lora.final.model_output_scale_alpha_over_r')!);
    expect(relativeError(got, other)).toBeGreaterThan(2e-4);
    network.parameters.destroy();
  });

  test('a base of 33 channels, made wider, does not see the hands', async () => {
    const wide = await load();
    expect(wide.lora).toBeUndefined();
    expect(wide.config.in_channels).toBe(49);
    const input = io.get('lora.step0.transformer_input')!;
    const [batch, frames, channels, height, width] = input.shape;
    const values = toFloat32(input);
    const pixels = height * width;
    const narrow = new Float32Array(batch * frames * 33 * pixels);
    for (let i = 0; i < batch * frames; i++) {
      narrow.set(values.subarray(i * channels * pixels, (i * channels + 33) * pixels), i * 33 * pixels);
    }
    const config = { ...wide.config, in_channels: 33 };
    const checkpoint = await openCheckpoint(base, 'transformer/diffusion_pytorch_model');
    const parameters = await loadParameters(device, checkpoint, transformerParameters(config));
    await checkpoint.close();
    const [got, want] = [
      await predict(wide, input),
      await predict(
        { config, parameters },
        { dtype: 'F32', shape: [batch, frames, 33, height, width], data: narrow },
      ),
    ];
    expect(relativeError(got, want)).toBeLessThan(1e-6);
    wide.parameters.destroy();
    parameters.destroy();
  });

  test('a merge writes into the buffers of the weights, and needs few of its own', async () => {
    const { parameters } = await load();
    const before = new Map(parameters.tensors);
    const lora = await openLora(await openDirectory(join(golden, 'lora_trained')));
    const { createBuffer } = device.gpu;
    let made = 0;
    device.gpu.createBuffer = (descriptor) => {
      made++;
      return createBuffer.call(device.gpu, descriptor);
    };
    const { merged } = await mergeLora(device, parameters, lora);
    device.gpu.createBuffer = createBuffer;
    await closeLora(lora);
    expect(merged).toBe(8);
    // All layers have one shape: A, B, the factor, uniforms, the result and what is trained whole.
    expect(made).toBeLessThan(merged);
    const other = [...parameters.tensors].filter(([name, tensor]) => before.get(name) !== tensor);
    expect(other.map(([name]) => name)).toEqual(['patch_embed.proj.weight', 'patch_embed.proj.bias']);
    parameters.destroy();
  });

  test('what a merge replaces is freed', async () => {
    const before = device.memory.allocated;
    const network = await load(join(golden, 'lora_trained'));
    expect(device.memory.allocated - before).toBe(network.parameters.bytes);
    network.parameters.destroy();
    expect(device.memory.allocated).toBe(before);
  });
});

/** A folder, and its files that are open. */
function watched(folder: ModelFolder): { folder: ModelFolder; isOpen: Set<object> } {
  const isOpen = new Set<object>();
  const open = async (path: string) => {
    const file = await folder.open(path);
    isOpen.add(file);
    return {
      ...{ name: file.name, size: file.size, read: file.read.bind(file) },
      close: async () => {
        isOpen.delete(file);
        await file.close?.();
      },
    };
  };
  return { folder: { name: folder.name, exists: folder.exists.bind(folder), open }, isOpen };
}

test.each([undefined, 1])(
  'where one of several does not fit, all are closed and nothing stays; %s blocks at hand',
  async (residentBlocks) => {
    const before = device.memory.allocated;
    const other = await mkdtemp(join(tmpdir(), 'dwm-lora-'));
    const tensor: SafetensorsTensor = { dtype: 'F32', shape: [4, 4], data: new Float32Array(16) };
    const pair = new Map(['A', 'B'].map((part) => [`other.lora_${part}.weight`, tensor]));
    await saveSafetensors(join(other, LORA_FILE), pair);
    const paths = [join(golden, 'lora_trained'), other, join(golden, 'lora_trained')];
    const loras = await Promise.all(paths.map(async (path) => watched(await openDirectory(path))));
    await expect(loadTransformer(device, base, loras, () => {}, { residentBlocks })).rejects.toThrow(
      'holds no LoRA weights of this network',
    );
    expect(loras.map(({ isOpen }) => isOpen.size)).toEqual([0, 0, 0]);
    expect(device.memory.allocated).toBe(before);
  },
);

describe('damaged folders', () => {
  const Q = 'transformer_blocks.0.attn1.to_q';
  type Change = (tensors: Map<string, SafetensorsTensor>) => void;
  const zeros = (...shape: number[]): SafetensorsTensor => ({
    dtype: 'F32',
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });

  let plain: Network;
  beforeAll(async () => {
    plain = await load();
  });
  afterAll(() => plain.parameters.destroy());

  async function changed(file: string, change: Change): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'dwm-lora-'));
    await cp(join(golden, 'lora_trained'), folder, { recursive: true });
    const tensors = await readSafetensors(join(folder, file));
    change(tensors);
    await saveSafetensors(join(folder, file), tensors);
    return folder;
  }

  test.each<[string, string, Change, string]>([
    [
      'a pair of half',
      LORA_FILE,
      (t) => t.delete(`${Q}.lora_B.weight`),
      `${Q}.lora_A.weight: its partner lora_B is missing`,
    ],
    [
      'a rank of its own',
      LORA_FILE,
      (t) => t.set(`${Q}.lora_A.weight`, zeros(3, 64)),
      `${Q}.lora_B.weight has shape [64,4], expected [64,3]`,
    ],
    [
      'the width of another model',
      LORA_FILE,
      (t) => t.set(`${Q}.lora_A.weight`, zeros(4, 48)),
      `${Q}.lora_A.weight has shape [4,48], expected [4,64]`,
    ],
    [
      'a vector for a matrix',
      LORA_FILE,
      (t) => t.set(`${Q}.lora_A.weight`, zeros(128)),
      `${Q}.lora_A.weight has shape [128], expected `,
    ],
    [
      'two tensors for one place',
      LORA_FILE,
      (t) => t.set(`transformer.${Q}.lora_A.weight`, zeros(4, 64)),
      ' are about the same layer; keep one of the two',
    ],
    [
      'DoRA',
      LORA_FILE,
      (t) => t.set(`${Q}.lora_magnitude_vector`, zeros(64)),
      `${Q}.lora_magnitude_vector: is DoRA, which is not supported`,
    ],
    ['DoRA of kohya', LORA_FILE, (t) => t.set(`${Q}.dora_scale`, zeros(64)), `${Q}.dora_scale: is DoRA`],
    ['LoHa', LORA_FILE, (t) => t.set(`${Q}.hada_w1_a`, zeros(4)), `${Q}.hada_w1_a: is LoHa`],
    [
      'two numbers for alpha',
      LORA_FILE,
      (t) => t.set(`${Q}.alpha`, zeros(2)),
      `${Q}.alpha: expected one number, got [0,0]`,
    ],
    ['nothing', LORA_FILE, (t) => t.clear(), 'holds no LoRA weights'],
    [
      'a whole tensor of another shape',
      NON_LORA_FILE,
      (t) => t.set('patch_embed.proj.bias', zeros(5)),
      'patch_embed.proj.bias has shape [5], expected [64]',
    ],
  ])('%s', async (_, file, change, message) => {
    const folder = await changed(file, change);
    const error = await load(folder).then(
      () => expect.fail('was accepted'),
      (e) => e,
    );
    expect(error).toBeInstanceOf(InvalidFileError);
    expect(error.message).toContain(join(folder, file));
    expect(error.message).toContain(message);
    expect(error.message.split('\n')).toHaveLength(1);
    await expect(loraNeeds(await openDirectory(folder), plain.parameters), 'the plan').rejects.toThrow(
      message,
    );
  });

  test('no LoRA file at all', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dwm-lora-'));
    await expect(load(folder)).rejects.toThrow(`${join(folder, LORA_FILE)}: no such file or folder`);
  });
});
