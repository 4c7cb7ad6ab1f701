/** What a plan says about memory, against what the device was asked for, and what a run holds on the host. */
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Device, DeviceTensor } from '@dwm/core-tensor';
import { toFloat32 } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice, readSafetensors } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openWithoutWork } from '../../tests/fixtures/no-work.ts';
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

test('the host holds the result and the latents beside the videos, each crossing once', async () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  /** What is collected is swept in the background: the next collection waits for it. */
  const held = () => {
    for (let bytes = Number.POSITIVE_INFINITY; ; ) {
      collect();
      const { arrayBuffers } = process.memoryUsage();
      if (arrayBuffers >= bytes) return bytes;
      bytes = arrayBuffers;
    }
  };
  const [frames, height, width] = [25, 240, 368];
  const clip = 3 * frames * height * width;
  const latents = 4 * 7 * 16 * (height / 8) * (width / 8);
  let peak = 0;
  const nothing = await openWithoutWork({ frames, height, width }, () => {
    peak = Math.max(peak, held());
  });
  const pipeline = await DwmPipeline.load(nothing, await openDirectory(golden));
  const video = () => ({ data: new Uint8Array(clip).fill(1), frames, height, width });
  const options = {
    ...{ staticVideo: video(), handVideo: video(), numFrames: frames, height, width, numInferenceSteps: 1 },
    prompt: { prompt: new Float32Array(8 * 32), negative: new Float32Array(8 * 32), tokens: 8 },
  };
  // The tests before have left what only their last promises hold.
  await new Promise((resolve) => setImmediate(resolve));
  const before = held();
  const { data } = await pipeline.generate(options);
  expect(data.length).toBe(clip);
  expect(peak - before).toBeGreaterThan(clip);
  expect(peak - before).toBeLessThan(clip + 2 * latents);
  const { uploadedBytes, downloadedBytes } = nothing.traffic;
  // Beside the videos two draws of noise, text and tables; beside the result the latents and counts of what is finite.
  expect(uploadedBytes).toBeGreaterThan(2 * clip);
  expect(uploadedBytes).toBeLessThan(2 * clip + 3 * latents);
  expect(downloadedBytes).toBeGreaterThan(clip + latents);
  expect(downloadedBytes).toBeLessThan(clip + 1.1 * latents);
  nothing.destroy();
});
