/** What a plan says of weights that a run does not have: quantized ones, and LoRAs. */
import { join } from 'node:path';
import { openDirectory } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import type { ModelShapes } from '../families/family.ts';
import { planBlockDenoiser } from '../pipeline/block-denoiser.ts';
import { publishedShapes, readModelShapes } from '../pipeline/plan-model.ts';
import { planDevice, planningDevice } from './devices.ts';
import { planRun, type RunNeeds } from './plan-run.ts';

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
  expect(message).toMatch(/int4 weights.*dwm quantize --dtype int4 makes \S+ MB of files in about 1 min/);
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

test('half precision takes no more beside the weights of the 5B than full, and below 1.6 GB', async () => {
  const { stacked, vae } = publishedShapes('5B');
  const device = planningDevice(planDevice('h200'));
  const { network, weights, shapes } = stacked();
  const latent = vae(device, 'f32').latentSize({ frames: 49, height: 480, width: 720 });
  const [f32, f16] = (['f32', 'f16'] as const).map((precision) => {
    const size = { latent, textLength: 226, guided: true, twoPasses: true };
    const { begin, block, end } = planBlockDenoiser(device, network, weights, shapes.block, size, precision);
    return Math.max(...[begin, block, end].map(({ plan: { memory } }) => memory.arena));
  });
  expect(f16).toBeLessThan(1.6e9);
  // The scales of the rows, at the most.
  expect(f16).toBeLessThan(1.01 * f32);
});
