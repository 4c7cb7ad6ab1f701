/** Runs that leave blocks out, against those that do not. */
import { join } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALL_RESIDENT } from '../memory/choice.ts';
import { planRun } from '../memory/plan-run.ts';
import type { GenerateOptions } from './options.ts';
import { DwmPipeline } from './pipeline.ts';
import { readModelShapes } from './plan-model.ts';
import { cacheKind, checkCache } from './step-cache.ts';
import { calculatedSteps, settleTeaCache } from './teacache.ts';

const tiny = join(import.meta.dirname, '../../../../models/dwm-tiny');
const clip = { data: new Uint8Array(5 * 32 * 48 * 3).map((_, i) => (i * 7) % 251), frames: 5 };
const videos = {
  staticVideo: { ...clip, height: 32, width: 48 },
  handVideo: { ...clip, height: 32, width: 48 },
};
const settings: GenerateOptions = {
  ...{ ...videos, prompt: 'a hand opens the drawer', numFrames: 5, height: 32, width: 48 },
  ...{ numInferenceSteps: 3, guidanceScale: 3, exact: true, onWarning: () => {} },
};
/** Leaves out every step but the first and the last. */
const tea = { relL1Thresh: 1e9, numSkipStartSteps: 1, coefficients: [1, 0] };

let device: Device;
let resident: DwmPipeline;
let streamed: DwmPipeline;
beforeAll(async () => {
  device = await openNodeDevice();
  const folder = await openDirectory(tiny);
  resident = await DwmPipeline.load(device, folder);
  streamed = await DwmPipeline.load(device, folder, {
    memory: { ...ALL_RESIDENT, text: 'come in blocks', residentBlocks: 1 },
  });
});
afterAll(() => {
  resident?.destroy();
  streamed?.destroy();
  device?.destroy();
});

test('the steps of TeaCache: the sum of changes starts anew where it was calculated', () => {
  const rule = { relL1Thresh: 1, numSkipStartSteps: 2, coefficients: [2, 0.1], calculatesLast: false };
  // 2 x 0.25 + 0.1 = 0.6 a step.
  expect(calculatedSteps([0.25, 0.25, 0.25, 0.25, 0.25, 0.25], rule)).toEqual([
    ...[true, true, false, true, false, true, false],
  ]);
  expect(calculatedSteps([9, 0, 0], { ...rule, calculatesLast: true })).toEqual([true, true, false, true]);
  expect(calculatedSteps([], rule)).toEqual([true]);
});

test('options out of range are refused by name', () => {
  const settle = (options: object) => () => settleTeaCache({ ...tea, ...options }, resident.network, 4);
  expect(settle({ relL1Thresh: -1 })).toThrow('teaCache.relL1Thresh: expected a number from 0 up, got -1');
  expect(settle({ numSkipStartSteps: 5 })).toThrow(
    'expected a whole number from 1 to the 4 steps of the run',
  );
  expect(settle({ coefficients: undefined })).toThrow('teaCache.coefficients: are known for the published');
  expect(settle({ coefficients: [Number.NaN] })).toThrow('expected numbers, highest power first');
  expect(() => cacheKind({ teaCache: tea, firstBlockCache: { threshold: 1 } })).toThrow('choose one');
  expect(() => cacheKind({ firstBlockCache: { threshold: -1 } })).toThrow('firstBlockCache.threshold');
  const short = { ...resident.network, blocks: 1 };
  expect(() => checkCache(short, 3, { firstBlockCache: { threshold: 1 } })).toThrow(
    'this model has 1; leave',
  );
});

test('a run refuses them before anything is encoded', async () => {
  const stages: string[] = [];
  const run = resident.generate({
    ...{ ...settings, teaCache: { ...tea, numSkipStartSteps: 4 } },
    onProgress: ({ stage }) => stages.push(stage),
  });
  await expect(run).rejects.toThrow('expected a whole number from 1 to the 3 steps of the run, got 4');
  expect(stages).toEqual([]);
});

test('a threshold of 0 is no cache; one that nothing reaches runs every block, to the same bits', async () => {
  const plain = await resident.generate(settings);
  expect(plain.calculated).toEqual([true, true, true]);
  for (const cache of [
    { teaCache: { ...tea, relL1Thresh: 0 } },
    { firstBlockCache: { threshold: 0 } },
    { firstBlockCache: { threshold: 1e-12 } },
  ])
    expect(await resident.generate({ ...settings, ...cache })).toEqual(plain);
});

test.each([
  ['TeaCache', { teaCache: tea }, [true, false, true]],
  ['the first-block cache', { firstBlockCache: { threshold: 1e9 } }, [true, false, false]],
])(
  '%s: the same bits with blocks at hand and streamed, guidance ending on the way, and memory as planned',
  async (_, cache, calculated) => {
    const options = { ...settings, ...cache, cfgSkipRatio: 0.4 };
    const before = device.memory.allocated;
    device.memory.peak = before;
    const { bytes } = resident.estimate(options);
    const made = await resident.generate(options);
    expect(made.calculated).toEqual(calculated);
    expect(made.guidance).toEqual([3, 3, 1]);
    expect(device.memory.allocated).toBe(before);
    expect(device.memory.peak).toBeLessThanOrEqual(bytes * 1.01);
    expect(await streamed.generate(options)).toEqual(made);
  },
);

test('the plan of a run counts what a cache keeps, and the work that guidance does not do', async () => {
  const shapes = await readModelShapes(await openDirectory(tiny));
  const target = { name: 'this', caps: device.caps, budget: Number.POSITIVE_INFINITY };
  const needs = { numFrames: 17, height: 64, width: 96, numInferenceSteps: 4, guided: true } as const;
  const plan = (more: object) =>
    planRun(shapes, target, { ...needs, precision: 'f32', encodesText: true, ...more }).stages.find(
      ({ stage }) => stage === 'denoise',
    )!;
  const stream = 2 * (shapes.network.textTokens + 5 * 8 * 12) * shapes.network.width * 4;
  const [teaCache, firstBlock] = [plan({ cache: 'teacache' }), plan({ cache: 'first-block' })];
  expect(firstBlock.own - teaCache.own).toBe(2 * stream);
  expect(teaCache.chosen).toBe('all blocks stay, TeaCache');
  expect(plan({ cfgSkipRatio: 0.5 }).teraflops / plan({}).teraflops).toBeCloseTo(0.75);
});
