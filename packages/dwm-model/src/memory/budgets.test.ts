/**
 * Made-up checkpoints at the budgets of cards, in hundredths since Dawn's null device holds 512 MiB: what is planned,
 * against what a device that computes nothing is asked for.
 */
import { join } from 'node:path';
import { type Device, DeviceTensor } from '@dwm/core-tensor';
import { bytesSource, type ModelFolder } from '@dwm/core-tensor/files';
import { openDirectory } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openWithoutWork } from '../../tests/fixtures/no-work.ts';
import { allIn, quantized } from '../families/symbols.ts';
import { DwmPipeline } from '../pipeline/pipeline.ts';
import { readModelShapes } from '../pipeline/plan-model.ts';
import { readTransformerConfig, transformerParameters } from '../transformer/index.ts';
import { planRun } from './plan-run.ts';

const golden = join(import.meta.dirname, '../../tests/golden/pipeline_e2e');
const SIZE = { frames: 9, height: 96, width: 144 };
const FILE = 'transformer/diffusion_pytorch_model';
const SHARDS = 3;
const BYTES = { BF16: 2, F16: 2, F32: 4, I8: 1 };
const STORED = { bf16: 'BF16', f16: 'F16', f32: 'F32', i8: 'I8' } as const;

let device: Device;
beforeAll(async () => {
  device = await openWithoutWork(SIZE);
  // Nobody looks at the weights.
  vi.spyOn(DeviceTensor.prototype, 'writeBytes').mockImplementation(() => {});
});
afterAll(() => {
  vi.restoreAllMocks();
  device?.destroy();
});

interface Made {
  readonly heads: number;
  readonly headSize: number;
  readonly blocks: number;
  readonly dtype: 'bf16' | 'int8';
}

/** The golden model with another transformer, in shards that have a header and no bytes. */
async function madeUp({ heads, headSize, blocks, dtype }: Made): Promise<ModelFolder> {
  const folder = await openDirectory(golden);
  const file = await folder.open('transformer/config.json');
  const own = JSON.parse(new TextDecoder().decode(await file.read(0, file.size)));
  await file.close?.();
  const shape = { num_attention_heads: heads, attention_head_dim: headSize, num_layers: blocks };
  const config = { ...own, ...shape };
  const parameters = transformerParameters(readTransformerConfig(config, 'config'));
  const stored = dtype === 'int8' ? quantized(allIn('bf16'), 'int8') : allIn(dtype);
  const headers = Array.from({ length: SHARDS }, () => ({}) as Record<string, unknown>);
  const ends = headers.map(() => 0);
  const map: Record<string, string> = {};
  const shardFile = (at: number) => `diffusion_pytorch_model-0000${at + 1}-of-0000${SHARDS}.safetensors`;
  for (const [i, [name, spec]] of Object.entries(stored(parameters)).entries()) {
    const at = i % SHARDS;
    const shape = parameters[name]?.shape ?? spec.shape;
    const kind = STORED[spec.dtype as keyof typeof STORED];
    const end = ends[at] + BYTES[kind] * shape.reduce((a, b) => a * b, 1);
    headers[at][name] = { dtype: kind, shape, data_offsets: [ends[at], end] };
    ends[at] = end;
    map[name] = shardFile(at);
  }
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const files = new Map<string, () => ReturnType<typeof bytesSource>>([
    ['transformer/config.json', () => bytesSource('config.json', text(config))],
    [`${FILE}.safetensors.index.json`, () => bytesSource('index.json', text({ weight_map: map }))],
  ]);
  for (const [at, header] of headers.entries()) {
    const json = text(header);
    const head = new Uint8Array(8 + json.length);
    new DataView(head.buffer).setBigUint64(0, BigInt(json.length), true);
    head.set(json, 8);
    const name = `transformer/${shardFile(at)}`;
    files.set(name, () => ({
      ...{ name, size: head.length + ends[at] },
      read: async (offset, length, into = new Uint8Array(length)) => {
        if (offset < head.length) into.set(head.subarray(offset, offset + length));
        return into.subarray(0, length);
      },
    }));
  }
  return {
    name: 'made-up',
    exists: async (path) => files.has(path) || (path !== `${FILE}.safetensors` && folder.exists(path)),
    open: async (path) => files.get(path)?.() ?? folder.open(path),
  };
}

const wide = { heads: 20, headSize: 32, blocks: 12 };
const deep = { heads: 8, headSize: 64, blocks: 20 };
test.each([
  [80, { ...wide, dtype: 'bf16' }, true],
  [160, { ...deep, dtype: 'int8' }, false],
] as const)('in %s MB %o takes what is planned, within 5%', async (megabytes, made, streams) => {
  const folder = await madeUp(made);
  const budget = megabytes * 1e6;
  const plan = planRun(
    await readModelShapes(folder),
    { name: 'this', caps: device.caps, budget },
    {
      ...{ numFrames: SIZE.frames, height: SIZE.height, width: SIZE.width, numInferenceSteps: 1 },
      ...{ guided: true, precision: 'f32', encodesText: false, textTokens: 8 },
    },
  );
  expect(plan.bytes).toBeLessThanOrEqual(budget);
  expect(plan.choice.residentBlocks !== undefined).toBe(streams);
  device.memory.peak = 0;
  const pipeline = await DwmPipeline.load(device, folder, { memory: plan.choice });
  const { frames, height, width } = SIZE;
  const video = { data: new Uint8Array(3 * frames * height * width).fill(1), ...SIZE };
  await pipeline.generate({
    ...{ staticVideo: video, handVideo: video, numFrames: frames, height, width, numInferenceSteps: 1 },
    ...{ guidanceScale: 6, onWarning: () => {} },
    prompt: { prompt: new Float32Array(8 * 32), negative: new Float32Array(8 * 32), tokens: 8 },
  });
  pipeline.destroy();
  const { peak } = device.memory;
  expect(peak).toBeLessThanOrEqual(budget);
  expect(Math.abs(peak / plan.bytes - 1)).toBeLessThan(0.05);
});
