/** What a plan says about memory, against what the device was asked for. */
import { join } from 'node:path';
import { type Device, DeviceTensor, toFloat32 } from '@dwm/core-tensor';
import { openDirectory, openNodeDevice, readSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cogVideoXNetwork } from '../cogvideox/network.ts';
import { CogVideoXVae } from '../vae/index.ts';
import { Denoiser } from './denoiser.ts';
import { loadTransformer } from './load-transformer.ts';
import { normals } from './noise.ts';
import { DwmPipeline } from './pipeline.ts';

const golden = join(import.meta.dirname, '../../tests/golden/pipeline_e2e');

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device?.destroy());

/** Most bytes in use at a time while `work` runs, beside those that were in use before. */
async function peakOf(work: () => Promise<unknown>): Promise<number> {
  const before = device.memory.allocated;
  device.memory.peak = before;
  await work();
  expect(device.memory.allocated).toBe(before);
  return device.memory.peak - before;
}

function expectWithin(planned: number, allocated: number): void {
  expect(planned / allocated).toBeGreaterThan(0.9);
  expect(planned / allocated).toBeLessThan(1.1);
}

test('the denoiser, at 480 x 720 of 17 frames', async () => {
  const { config, parameters } = await loadTransformer(
    device,
    await openDirectory(golden),
    undefined,
    () => {},
  );
  const network = cogVideoXNetwork(config, parameters);
  const shape = { latent: { channels: 16, frames: 5, height: 60, width: 90 }, textLength: 8, guided: true };
  const pixels = 5 * 60 * 90;
  const { memory } = Denoiser.plan(device, network, shape, 'f32');
  const peak = await peakOf(async () => {
    const condition = DeviceTensor.from(device, normals(1, 0, 33 * pixels), [1, 5, 33, 60, 90], 'f32');
    const text = normals(1, 1, 2 * 8 * 32);
    // Everything is allocated before the first step; the steps themselves are left to smaller runs.
    const calls = [{ timestep: 999, guidance: 6, inputScale: 1 }];
    const denoiser = await Denoiser.create(device, network, shape, condition, text, calls, 'f32');
    denoiser.destroy();
    condition.destroy();
  });
  expectWithin(memory.total - memory.parameters, peak);
  parameters.destroy();
});

test('the VAE, both ways', async () => {
  const folder = await openDirectory(join(golden, 'vae'));
  const vae = await CogVideoXVae.load(device, folder);
  const size = { frames: 9, height: 96, width: 64 };
  const video = DeviceTensor.from(device, normals(1, 0, 9 * 96 * 64 * 3), [1, 9, 96, 64, 3], 'f32');
  const latents = DeviceTensor.from(device, normals(1, 0, 3 * 16 * 96), [1, 3, 16, 12, 8], 'f32');
  const encode = await peakOf(async () => (await vae.encode(video)).destroy());
  expectWithin(vae.estimateEncode(size).bytes, encode);
  const decode = await peakOf(async () => (await vae.decode(latents)).destroy());
  expectWithin(vae.estimateDecode(vae.latentSize(size)).bytes, decode);
  video.destroy();
  latents.destroy();
  vae.destroy();
});

test.each([
  ['the VAE needs most', 96, 64],
  ['resizing the given clips needs most', 300, 500],
])('a whole run where %s', async (_, height, width) => {
  const pipeline = await DwmPipeline.load(device, await openDirectory(golden));
  const io = await readSafetensors(join(golden, 'io.safetensors'));
  const data = new Uint8Array(12 * height * width * 3).map((_, i) => i % 251);
  const clip = { data, frames: 12, height, width };
  const options = {
    staticVideo: clip,
    handVideo: clip,
    prompt: {
      prompt: toFloat32(io.get('in.prompt_embeds')!),
      negative: toFloat32(io.get('in.negative_prompt_embeds')!),
      tokens: 8,
    },
    numFrames: 9,
    height: 96,
    width: 64,
    numInferenceSteps: 1,
  };
  const weights = device.memory.allocated;
  const { bytes } = pipeline.estimate(options);
  expectWithin(bytes, weights + (await peakOf(() => pipeline.generate(options))));
  pipeline.destroy();
});
