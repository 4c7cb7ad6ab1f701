import { join } from 'node:path';
import { toFloat32 } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice, readSafetensors } from '@dwm/core-tensor/node';
import { DwmPipeline } from '@dwm/dwm-model';
import { ALL_RESIDENT, RunTooLargeError } from '@dwm/dwm-model/memory';
import { expect, test } from 'vitest';
import { generate } from './generate.ts';
import { loadModel, memoryFor } from './model.ts';
import type { GenerateProgress } from './protocol.ts';

const golden = join(import.meta.dirname, '../../../../packages/dwm-model/tests/golden/pipeline_e2e');

test('the page makes the bytes that the command makes of one seed', async () => {
  const device = await openNodeDevice();
  const folder = await openDirectory(golden);
  const io = await readSafetensors(join(golden, 'io.safetensors'));
  const clip = (name: string) => {
    const { data, shape } = io.get(name)!;
    const [frames, height, width] = shape;
    return { data: data as Uint8Array, frames, height, width, fps: 8 };
  };
  const [scene, hands] = [clip('in.static_u8'), clip('in.hand_u8')];
  const embeds = {
    prompt: toFloat32(io.get('in.prompt_embeds')!),
    negative: toFloat32(io.get('in.negative_prompt_embeds')!),
    tokens: 8,
  };
  const plan = (limit: number) => memoryFor(device, folder, undefined, limit);
  // What its own runs do not fit in is loaded for smaller ones, and what none fits in is not.
  const whole = { ...ALL_RESIDENT, text: 'come in blocks' };
  expect(await plan(1e10)).toEqual(whole);
  expect(await plan(20e6)).toEqual(whole);
  const refused = await plan(1e6).catch((error: Error) => error);
  expect(refused).toBeInstanceOf(RunTooLargeError);
  expect((refused as Error).message).toMatch(
    / needs .* MB at least, but the budget is 1.0 MB; choose `memory: /,
  );
  const model = await loadModel(device, folder);
  // A model that says nothing of itself was made for what its family's original was.
  expect(model.info.settings).toMatchObject({ width: 720, height: 480, frames: 49, steps: 50, guidance: 6 });
  const size = { width: 48, height: 32, frames: 9 };
  const settings = { ...model.info.settings, ...size, steps: 3, seed: 11 };
  const shown: GenerateProgress[] = [];
  const page = await generate(
    { ...model, embeds },
    { scene, hands, settings },
    (progress) => shown.push(progress),
    new AbortController().signal,
  );
  model.pipeline.destroy();
  expect(shown.at(-1)).toMatchObject({ stage: 'decode', done: 1 });

  // As `dwm generate` asks for it: every setting spelled out.
  const pipeline = await DwmPipeline.load(device, folder);
  const { data } = await pipeline.generate({
    ...{ staticVideo: scene, handVideo: hands, prompt: embeds, negativePrompt: '' },
    ...{ numFrames: 9, height: 32, width: 48, numInferenceSteps: 3, guidanceScale: 6, seed: 11 },
    ...{ dynamicGuidance: false, composite: false, strength: 1, tiling: true, onWarning: () => {} },
  });
  expect(page.video).toEqual({ data, ...size, fps: 8 });
  pipeline.destroy();
  device.destroy();
}, 300_000);
