/**
 * Made-up checkpoints at budgets between too little and all, drawn from a seed: what is planned, against what a device
 * that computes nothing is asked for. `DWM_BUDGETS=40:7` draws 40 of them, from seed 7 on.
 */
import { join } from 'node:path';
import { DeviceTensor } from '@dwm/core-tensor';
import { bytesSource, type ModelFolder } from '@dwm/core-tensor/files';
import { openDirectory } from '@dwm/core-tensor/node';
import { seeded, toGguf, writeGguf } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openWithoutWork } from '../../tests/fixtures/no-work.ts';
import { allIn, quantized } from '../families/symbols.ts';
import { DwmPipeline } from '../pipeline/pipeline.ts';
import { readModelShapes } from '../pipeline/plan-model.ts';
import { readTransformerConfig, transformerParameters } from '../transformer/index.ts';
import { isLinearWeight } from '../weights/quantized.ts';
import { planRun } from './plan-run.ts';
import { RunTooLargeError } from './refusal.ts';
import type { RunNeeds } from './run-plan.ts';

const [COUNT, SEED] = (process.env.DWM_BUDGETS || '2:2').split(':').map(Number);
const golden = join(import.meta.dirname, '../../tests/golden/pipeline_e2e');
const FILE = 'transformer/diffusion_pytorch_model';
const TOKENS = 8;
const BYTES = { BF16: 2, F16: 2, F32: 4, I8: 1 };
const STORED = { bf16: 'BF16', f16: 'F16', f32: 'F32', i8: 'I8' } as const;

// Nobody looks at the weights.
beforeAll(() => void vi.spyOn(DeviceTensor.prototype, 'writeBytes').mockImplementation(() => {}));
afterAll(() => void vi.restoreAllMocks());

interface Made {
  readonly heads: number;
  readonly headSize: number;
  readonly blocks: number;
  readonly dtype: 'bf16' | 'f16' | 'f32' | 'int8' | 'gguf';
  readonly shards: number;
}

/** A checkpoint, a clip, and which share of the memory for all of it there is. */
function drawn(seed: number) {
  const random = seeded(seed);
  const below = (n: number) => Math.floor(n * random());
  const one = <T>(of: readonly T[]): T => of[below(of.length)];
  const dtype = one(['bf16', 'f16', 'f32', 'int8', 'gguf'] as const);
  const headSize = one([16, 32, 64]);
  // GGUF is made whole.
  const heads = 1 + below((dtype === 'gguf' ? 256 : 1280) / headSize);
  // Dawn's null device holds 512 MiB.
  const most = Math.ceil(250e6 / (60 * (heads * headSize) ** 2));
  const made: Made = { heads, headSize, blocks: 1 + below(Math.min(20, most)), dtype, shards: 1 + below(4) };
  const size = { frames: one([9, 17]), height: 16 * (1 + below(8)), width: 16 * (1 + below(10)) };
  return {
    made,
    size,
    guided: random() < 0.7,
    precision: one(['f32', 'f16'] as const),
    share: 1.1 * random(),
  };
}

const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** The golden model with another transformer. */
async function madeUp({ heads, headSize, blocks, dtype, shards }: Made): Promise<ModelFolder> {
  const folder = await openDirectory(golden);
  const file = await folder.open('transformer/config.json');
  const own = JSON.parse(new TextDecoder().decode(await file.read(0, file.size)));
  await file.close?.();
  const shape = { num_attention_heads: heads, attention_head_dim: headSize, num_layers: blocks };
  const config = { ...own, ...shape };
  const parameters = transformerParameters(readTransformerConfig(config, 'config'));
  const files = dtype === 'gguf' ? inGguf(parameters) : inShards(parameters, dtype, shards);
  files.set('transformer/config.json', () => bytesSource('config.json', text(config)));
  return {
    name: 'made-up',
    exists: async (path) => files.has(path) || (path !== `${FILE}.safetensors` && folder.exists(path)),
    open: async (path) => files.get(path)?.() ?? folder.open(path),
  };
}

type Files = Map<string, () => ReturnType<typeof bytesSource>>;
type Specs = ReturnType<typeof transformerParameters>;

function inGguf(parameters: Specs): Files {
  const tensors = Object.entries(parameters).map(([name, { shape }]) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const packs = isLinearWeight(name, shape) && shape[1] % 32 === 0;
    return toGguf(name, { dtype: 'F32', shape, data }, packs);
  });
  const bytes = writeGguf(tensors, { 'general.architecture': 'cogvideox' });
  return new Map([[`${FILE}.gguf`, () => bytesSource('weights.gguf', bytes)]]);
}

/** Files that have a header and no bytes. */
function inShards(parameters: Specs, dtype: Exclude<Made['dtype'], 'gguf'>, shards: number): Files {
  const stored = dtype === 'int8' ? quantized(allIn('bf16'), 'int8') : allIn(dtype);
  const headers = Array.from({ length: shards }, () => ({}) as Record<string, unknown>);
  const ends = headers.map(() => 0);
  const map: Record<string, string> = {};
  const shardFile = (at: number) => `diffusion_pytorch_model-0000${at + 1}-of-0000${shards}.safetensors`;
  for (const [i, [name, spec]] of Object.entries(stored(parameters)).entries()) {
    const at = i % shards;
    const shape = parameters[name]?.shape ?? spec.shape;
    const kind = STORED[spec.dtype as keyof typeof STORED];
    const end = ends[at] + BYTES[kind] * shape.reduce((a, b) => a * b, 1);
    headers[at][name] = { dtype: kind, shape, data_offsets: [ends[at], end] };
    ends[at] = end;
    map[name] = shardFile(at);
  }
  const files: Files = new Map([
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
  return files;
}

test.each(Array.from({ length: COUNT }, (_, i) => SEED + i))(
  'seed %i: the peak is the plan, within 5%, or the refusal tells what fits',
  async (seed) => {
    const { made, size, guided, precision, share } = drawn(seed);
    const what = JSON.stringify({ ...made, ...size, guided, precision, share });
    const { frames, height, width } = size;
    const device = await openWithoutWork(size);
    try {
      const folder = await madeUp(made);
      const shapes = await readModelShapes(folder);
      const needs: RunNeeds = {
        ...{ numFrames: frames, height, width, numInferenceSteps: 1, guided, precision },
        ...{ encodesText: false, textTokens: TOKENS },
      };
      const plan = (budget: number) => planRun(shapes, { name: 'this', caps: device.caps, budget }, needs);
      /** Of the refusal, where there is one. */
      let refused: RunTooLargeError | undefined;
      const within = (budget: number) => {
        try {
          return { ...plan(budget), budget };
        } catch (error) {
          if (!(error instanceof RunTooLargeError)) throw error;
          refused = error;
          expect(error.message, what).toMatch(
            /^this: \w+ needs \S+ [MG]B at least, but the budget is \S+ [MG]B; /,
          );
          const [, amount, unit] = /`memory: ([\d.]+)([MG])B`/.exec(error.message)!;
          const enough = Number(amount) * (unit === 'M' ? 1e6 : 1e9);
          return { ...plan(enough), budget: enough };
        }
      };
      const all = plan(Number.POSITIVE_INFINITY);
      const { budget, bytes, choice } = within(Math.ceil(share * all.bytes));
      const planned = JSON.stringify({ budget, bytes, choice, refused: refused?.message });
      device.memory.peak = 0;
      const pipeline = await DwmPipeline.load(device, folder, { memory: choice, precision });
      const video = { data: new Uint8Array(3 * frames * height * width).fill(1), ...size };
      const embeds = new Float32Array(TOKENS * 32);
      await pipeline.generate({
        ...{ staticVideo: video, handVideo: video, numFrames: frames, height, width, numInferenceSteps: 1 },
        ...{ guidanceScale: guided ? 6 : 1, onWarning: () => {} },
        prompt: { prompt: embeds, ...(guided && { negative: embeds }), tokens: TOKENS },
      });
      pipeline.destroy();
      const { peak } = device.memory;
      expect(peak, `${what} ${planned}`).toBeLessThanOrEqual(budget);
      expect(Math.abs(peak / bytes - 1), `${what} ${planned} ${peak}`).toBeLessThan(0.05);
    } finally {
      device.destroy();
    }
  },
);
