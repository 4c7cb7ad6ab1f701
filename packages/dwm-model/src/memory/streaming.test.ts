/** Runs that do not hold the whole model on the device, against those that do. */
import { join } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DwmPipeline, type LoadOptions } from '../pipeline/index.ts';
import { ALL_RESIDENT, type MemoryChoice } from './choice.ts';

const tiny = join(import.meta.dirname, '../../../../models/dwm-tiny');
const SIZE = { numFrames: 5, height: 32, width: 48 };

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device?.destroy());

async function run(memory: MemoryChoice, options: LoadOptions = {}) {
  const before = device.memory.allocated;
  const pipeline = await DwmPipeline.load(device, await openDirectory(tiny), { ...options, memory });
  const data = new Uint8Array(5 * 32 * 48 * 3).map((_, i) => (i * 7) % 251);
  const clip = { data, frames: 5, height: 32, width: 48 };
  const { latents, video } = await pipeline.generate({
    ...SIZE,
    ...{ staticVideo: clip, handVideo: clip, prompt: 'a hand opens the drawer', numInferenceSteps: 2 },
    ...{ guidanceScale: 3, onWarning: () => {} },
  });
  pipeline.destroy();
  expect(device.memory.allocated).toBe(before);
  return { latents, video };
}

test('streamed weights give the bits of resident ones: text encoder, transformer, all or some blocks', async () => {
  const resident = await run(ALL_RESIDENT);
  for (const residentBlocks of [0, 3]) {
    const streamed = await run({ ...ALL_RESIDENT, text: 'come in blocks', residentBlocks });
    expect(streamed).toEqual(resident);
  }
});
