/** Runs that do not hold the whole model on the device, against those that do. */
import { join } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { relativeError } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LoadedTransformer } from '../families/family.ts';
import { DwmPipeline, type LoadOptions, UndecodedError } from '../pipeline/index.ts';
import { loadTransformer } from '../pipeline/load-transformer.ts';
import { readModelShapes } from '../pipeline/plan-model.ts';
import type { Parameters } from '../weights/parameters.ts';
import { ALL_RESIDENT, type MemoryChoice } from './choice.ts';
import { planRun } from './plan-run.ts';

const tiny = join(import.meta.dirname, '../../../../models/dwm-tiny');
const SIZE = { numFrames: 5, height: 32, width: 48 };

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device?.destroy());

async function run(memory: MemoryChoice, options: LoadOptions = {}) {
  const before = device.memory.allocated;
  device.memory.peak = before;
  const pipeline = await DwmPipeline.load(device, await openDirectory(tiny), { ...options, memory });
  const data = new Uint8Array(5 * 32 * 48 * 3).map((_, i) => (i * 7) % 251);
  const clip = { data, frames: 5, height: 32, width: 48 };
  const { exact } = await pipeline.generate({
    ...SIZE,
    ...{ staticVideo: clip, handVideo: clip, prompt: 'a hand opens the drawer', numInferenceSteps: 2 },
    ...{ guidanceScale: 3, exact: true, onWarning: () => {} },
  });
  pipeline.destroy();
  expect(device.memory.allocated).toBe(before);
  return { made: exact!, peak: device.memory.peak - before };
}

let resident: Awaited<ReturnType<typeof run>>;
const needs = { ...SIZE, numInferenceSteps: 2, guided: true, precision: 'f32', encodesText: true } as const;

async function planned(budget: number) {
  const shapes = await readModelShapes(await openDirectory(tiny));
  return planRun(shapes, { name: 'this', caps: device.caps, budget }, needs);
}

test('what is planned with memory for all of it is what is taken, within 5%', async () => {
  const plan = await planned(Number.POSITIVE_INFINITY);
  expect(plan.choice).toEqual(ALL_RESIDENT);
  resident = await run(plan.choice);
  expect(Math.abs(resident.peak / plan.bytes - 1)).toBeLessThan(0.05);
});

test.each([0.9, 0.75, 0.6])(
  'in %s of that, blocks are streamed: the same bits, the peak as planned',
  async (share) => {
    const budget = Math.floor(share * resident.peak);
    const plan = await planned(budget);
    expect(plan.choice.text).toBe('come in blocks');
    expect(plan.bytes).toBeLessThanOrEqual(budget);
    const { made, peak } = await run(plan.choice);
    expect(Math.abs(peak / plan.bytes - 1)).toBeLessThan(0.05);
    const { twoPasses, feedForwardParts, encodeTiling, decodeTiling } = plan.choice;
    const sameMath = !twoPasses && feedForwardParts === 1 && !encodeTiling && !decodeTiling;
    if (sameMath) expect(made).toEqual(resident.made);
    else expect(relativeError(made.latents, resident.made.latents)).toBeLessThan(1e-3);
  },
);

test('what no way fits is refused before anything is allocated, with what would fit', async () => {
  const before = device.memory.allocated;
  const refused = planned(3e6);
  await expect(refused).rejects.toThrow(/needs .* MB at least, but the budget is 3.0 MB; choose `memory: /);
  expect(device.memory.allocated).toBe(before);
});

describe('what breaks ends a run where it breaks', () => {
  const data = new Uint8Array(5 * 32 * 48 * 3).map((_, i) => (i * 7) % 251);
  const clip = { data, frames: 5, height: 32, width: 48 };
  const settings = { ...SIZE, staticVideo: clip, handVideo: clip, prompt: 'a hand', onWarning: () => {} };

  let transformer: LoadedTransformer;
  let pipeline: DwmPipeline;
  beforeAll(async () => {
    const folder = await openDirectory(tiny);
    transformer = await loadTransformer(device, folder, undefined, () => {});
    pipeline = await DwmPipeline.load(device, folder, { transformer });
  });
  afterAll(() => pipeline?.destroy());

  /** The error of a run of so many steps with a weight that is no number, and the stages that it got to. */
  async function broken(parameters: Parameters, weight: string, numInferenceSteps: number) {
    const tensor = parameters.tensors.get(weight)!;
    const right = await tensor.read();
    // The weights are f16.
    tensor.write(right.map(() => 0x7e00) as typeof right);
    const stages = new Set<string>();
    const error = await pipeline
      .generate({
        ...{ ...settings, numInferenceSteps },
        onProgress: ({ stage, step }) => stages.add(`${stage} ${step ?? ''}`.trim()),
      })
      .catch((error: Error) => error);
    tensor.write(right);
    return { error: error as Error, stages: [...stages] };
  }

  test('an encoder that makes no numbers is told of before a step', async () => {
    const { error, stages } = await broken(pipeline.vae.parameters, 'encoder.conv_in.conv.bias', 2);
    expect(error.message).toMatch(
      /^an encoded video: (\d+) of \1 numbers are not finite; the VAE's weights are damaged/,
    );
    expect(stages).toEqual(['text', 'encode']);
  });

  test('a transformer that makes no numbers is told of after the first step', async () => {
    const { error, stages } = await broken(transformer.parameters, 'norm_final.bias', 2);
    expect(error.message).toMatch(
      /^the latents after the first step: (\d+) of \1 numbers are not finite; the weights or the scheduler/,
    );
    expect(stages).toEqual(['text', 'encode', 'denoise 1']);
  });

  test('of a decoder that makes no numbers the latents are kept, and they decode to what they would have', async () => {
    const { error } = await broken(pipeline.vae.parameters, 'decoder.conv_in.conv.bias', 1);
    expect(error).toBeInstanceOf(UndecodedError);
    const { message, latents, latentShape } = error as UndecodedError;
    expect(message).toMatch(/^the decoded video: \d+ of \d+ numbers are not finite; the VAE's weights/);
    expect(latentShape).toEqual([1, 2, 16, 8, 12]);
    const again = await pipeline.generate({ ...settings, numInferenceSteps: 1, denoised: latents });
    const whole = await pipeline.generate({ ...settings, numInferenceSteps: 1 });
    expect(again.data).toEqual(whole.data);
  });
});
