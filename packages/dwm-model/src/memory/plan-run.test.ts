/** What a plan says of weights that a run does not have: quantized ones, and LoRAs. */
import { join } from 'node:path';
import { type Precision, workByKernel } from '@dwm/core-tensor';
import { openDirectory } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import type { ModelShapes } from '../families/family.ts';
import { planBlockDenoiser } from '../pipeline/block-denoiser.ts';
import { publishedShapes, readModelShapes } from '../pipeline/plan-model.ts';
import { planDevice, planningDevice } from './devices.ts';
import { planRun } from './plan-run.ts';
import type { RunNeeds } from './run-plan.ts';

const tiny = join(import.meta.dirname, '../../../../models/dwm-tiny');
const needs: RunNeeds = {
  ...{ numFrames: 5, height: 32, width: 48, numInferenceSteps: 2, guided: true },
  ...{ precision: 'f32', encodesText: true },
};
const plan = (shapes: ModelShapes, budget: number, more: Partial<RunNeeds> = {}) =>
  planRun(shapes, { ...planDevice('default'), budget }, { ...needs, ...more });
const WHOLE = /^all blocks stay/;

test('a run that streams blocks says what quantized weights would make of it', async () => {
  const shapes = await readModelShapes(await openDirectory(tiny));
  const whole = plan(shapes, Number.POSITIVE_INFINITY);
  expect(whole.quantized).toBeUndefined();
  const budget = Math.ceil(plan(shapes.quantized!('int8'), Number.POSITIVE_INFINITY).bytes / 0.98);
  const short = plan(shapes, Math.min(budget, Math.floor(0.9 * whole.bytes)));
  expect(short.choice.residentBlocks).toBeDefined();
  const [first] = short.quantized!;
  const same = plan(shapes.quantized!(first.dtype), short.budget);
  expect(first).toMatchObject({ bytes: same.bytes, seconds: same.seconds });
  expect(first.chosen).toBe(same.stages.find(({ stage }) => stage === 'denoise')!.chosen);
  expect(first.fileBytes).toBeLessThan(whole.bytes);
  // No smaller one is told of after one that streams nothing.
  for (const { chosen } of short.quantized!.slice(0, -1)) expect(chosen).not.toMatch(WHOLE);
});

test('what quantized weights alone make fit is refused with the way to them', async () => {
  const shapes = await readModelShapes(await openDirectory(tiny));
  const refused = (budget: number): { message: string; details: { neededBytes: number } } => {
    try {
      plan(shapes, budget);
    } catch (error) {
      return error as ReturnType<typeof refused>;
    }
    throw new Error(`${budget} should be too little`);
  };
  const { message } = refused(0.95 * refused(1e5).details.neededBytes);
  expect(message).toMatch(/int4 weights.*`quantize: int4` makes \S+ MB of files in about 1 min/);
});

test('LoRAs beside the weights count by their files, one that is merged by its largest layer', async () => {
  const shapes = await readModelShapes(await openDirectory(tiny));
  const bytes = (of: ModelShapes, count: number) =>
    plan(of, Number.POSITIVE_INFINITY, { loras: { count, bytes: 1e6 } }).bytes;
  const int8 = shapes.quantized!('int8');
  expect(bytes(shapes, 1)).toBe(plan(shapes, Number.POSITIVE_INFINITY).bytes);
  expect(bytes(shapes, 2) - bytes(shapes, 1)).toBe(1e6);
  expect(bytes(int8, 1)).toBe(plan(int8, Number.POSITIVE_INFINITY).bytes + 1e6);
});

/** A block and what is around it of the 5B, for 49 frames of 480x720. */
function planned(device: string, precision: Precision) {
  const { stacked, vae } = publishedShapes('5B');
  const target = planningDevice(planDevice(device));
  const { network, weights, shapes } = stacked();
  const latent = vae(target, 'f32').latentSize({ frames: 49, height: 480, width: 720 });
  const size = { latent, textLength: 226, guided: true, twoPasses: true };
  return planBlockDenoiser(target, network, weights, shapes.block, size, precision);
}
const half = planned('h200', 'f16');

test('half precision takes no more beside the weights of the 5B than full, and below 1 GB', () => {
  const [f32, f16] = [planned('h200', 'f32'), half].map(({ begin, block, end }) =>
    Math.max(...[begin, block, end].map(({ plan: { memory } }) => memory.arena)),
  );
  expect(f16).toBeLessThan(1e9);
  // The scales of the rows, at the most.
  expect(f16).toBeLessThan(1.01 * f32);
});

/** What an H200 computes in f16, by what its memory moves. */
const RIDGE = 200;

test.each([
  ['h200', half],
  ['m3', planned('m3', 'f16')],
])("by the tiles of %s, the 5B's large products and attention are not bound by memory", (_, { block }) => {
  const [tokens, width] = [17776, 3072];
  const kernels = workByKernel([{ plan: block.plan, times: 1 }]).filter(({ flops }) => flops > 1e12);
  expect(kernels.map(({ kernel }) => kernel.split(' ').slice(0, 2).join(' '))).toEqual([
    'matmul+: matmul/matrix',
    'attention: attention/matrix',
  ]);
  expect(kernels.map(({ flops }) => flops)).toEqual([2 * tokens * 12 * width ** 2, 4 * tokens ** 2 * width]);
  for (const { kernel, flopsPerByte, bytes } of kernels) {
    expect(flopsPerByte, kernel).toBeGreaterThan(RIDGE);
    // In f16, each operand at least once.
    expect(bytes).toBeGreaterThan(2 * 4 * tokens * width);
  }
});

test('in f16 a block of the 5B moves below 13 GB, and what attention reads is stored as halves', () => {
  const kernels = workByKernel([{ plan: half.block.plan, times: 1 }]);
  expect(kernels.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(13e9);
  const ofAttention = kernels.filter(({ kernel }) => kernel.startsWith('attention'));
  expect(ofAttention.map(({ kernel }) => kernel.replace(/ \d.*/, ''))).toEqual([
    'attention: attention/matrix',
    'attention: half-rows/bound',
  ]);
});

test('a plan tells what the kernels of a step compute and move', async () => {
  const { kernels, stages } = plan(
    await readModelShapes(await openDirectory(tiny)),
    Number.POSITIVE_INFINITY,
  );
  const { teraflops } = stages.find(({ stage }) => stage === 'denoise')!;
  const all = kernels.reduce((sum, { flops }) => sum + flops, 0);
  expect(all / ((1e12 * teraflops) / needs.numInferenceSteps)).toBeCloseTo(1, 1);
  for (const { bytes, flops, flopsPerByte } of kernels) expect(flopsPerByte).toBe(flops / bytes);
});
