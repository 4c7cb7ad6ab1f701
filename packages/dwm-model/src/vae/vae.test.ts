import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  type Device,
  DeviceTensor,
  evaluate,
  InvalidArgumentError,
  InvalidFileError,
  PlanTooLargeError,
  parameter,
} from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkVae } from '../../tests/fixtures/vae.ts';
import { checkVaeTiling } from '../../tests/fixtures/vae-tiling.ts';
import { parseVaeConfig } from './config.ts';
import { Posterior } from './posterior.ts';
import { decodeValues, encodeValues, normals, randomParameters, tinyConfig } from './testing.ts';
import { CogVideoXVae } from './vae.ts';

const repository = resolve(import.meta.dirname, '../../../..');
const shared = resolve(repository, process.env.DWM_SHARED || '../shared');
const golden = join(shared, 'fixtures/vae');
const oddTiles = join(shared, 'fixtures-next/vae_tiling_odd');

let device: Device;
let vae: CogVideoXVae;
beforeAll(async () => {
  device = await openNodeDevice();
  vae = new CogVideoXVae(device, tinyConfig, randomParameters(device));
});
afterAll(() => device?.destroy());

const random = (shape: readonly number[], seed = 1) =>
  normals(
    shape.reduce((a, b) => a * b, 1),
    seed,
  );

describe('golden tensors', () => {
  // Nearly all of the time is the compilation of shaders on a CPU adapter.
  test.for(['f32', 'f16'] as const)('%s', { timeout: 300_000 }, async (precision, { skip }) => {
    skip(!existsSync(golden), 'skipped, no shared data');
    const checks = await checkVae(device, golden, precision);
    expect(checks.length).toBeGreaterThanOrEqual(36);
    expect(checks.filter(({ error, tolerance }) => !(error <= tolerance))).toEqual([]);
    if (precision === 'f32') expect(Math.max(...checks.map(({ error }) => error))).toBeLessThan(3e-6);
  });
});

test('tiles that do not fit evenly give the original’s moments and pictures', { timeout: 300_000 }, async ({
  skip,
}) => {
  skip(!existsSync(oddTiles), 'skipped, no shared data');
  const checks = await checkVaeTiling(device, oddTiles, 'f32');
  expect(checks.length).toBe(25);
  expect(checks.filter(({ error }) => !(error < 3e-6))).toEqual([]);
});

describe('stretches', () => {
  test('what comes later changes nothing before', async () => {
    const shape = [1, 5, 5, 4, 3];
    const latents = random(shape);
    const all = await decodeValues(vae, latents, shape);
    expect(all.shape).toEqual([1, 3, 9, 8, 6]);
    const frame = 12;
    const first = [0, 1, 2, 3, 4].flatMap((c) => [...latents.subarray(5 * c * frame, (5 * c + 3) * frame)]);
    const begin = await decodeValues(vae, Float32Array.from(first), [1, 5, 3, 4, 3]);
    for (let c = 0; c < 3; c++) {
      const part = all.data.slice(c * 9 * 48, (c * 9 + 5) * 48);
      expect(part).toEqual(begin.data.slice(c * 5 * 48, (c + 1) * 5 * 48));
    }
  });
});

describe('a stream', () => {
  const [HEIGHT, WIDTH] = [6, 10];

  /** What comes out of stretches of `counts` frames of `x` [1, frames, …], and what memory there is after each. */
  async function streamed(way: 'encode' | 'decode', x: DeviceTensor, counts: readonly number[]) {
    const programs = vae.openStretches(way);
    const stream = programs.open();
    const [, frames, ...picture] = x.shape;
    const one = x.elementCount / frames;
    const out: number[] = [];
    const allocated: number[] = [];
    let at = 0;
    for (const count of counts) {
      const part = new DeviceTensor(device, { shape: [1, count, ...picture], dtype: 'f32' });
      part.copyFrom(x, { from: at * one, count: count * one });
      // A fork goes its own way.
      const fork = stream.fork();
      (await fork.push(part)).destroy();
      fork.destroy();
      const made = await stream.push(part);
      out.push(...((await made.read()) as Float32Array));
      for (const tensor of [part, made]) tensor.destroy();
      at += count;
      allocated.push(device.memory.allocated);
    }
    stream.destroy();
    programs.destroy();
    return { values: Float32Array.from(out), allocated };
  }

  test('gives what the whole clip gives, to the bit, in memory that does not grow', async () => {
    const before = device.memory.allocated;
    const shape = [1, 17, HEIGHT, WIDTH, 3];
    const video = DeviceTensor.from(device, random(shape), shape, 'f32');
    const posterior = await vae.encode(video);
    const encoded = await streamed('encode', video, [9, 8]);
    expect(encoded.values).toEqual(await posterior.moments.read());
    const latents = (await evaluate(device, { mode: posterior.mode() })).mode;
    const whole = await vae.decode(latents);
    const decoded = await streamed('decode', latents, [3, 2, 2, 2]);
    expect(decoded.values).toEqual(await whole.read());
    expect(new Set(decoded.allocated.slice(1)).size).toBe(1);
    for (const made of [video, posterior, latents, whole]) made.destroy();
    expect(device.memory.allocated).toBe(before);
  });

  test('of single latent frames makes all frames of each but the first', async () => {
    const latents = DeviceTensor.from(device, random([2 * 5 * 12]), [1, 2, 5, 3, 4], 'f32');
    const { values } = await streamed('decode', latents, [1, 1]);
    expect(values.length).toBe((1 + 2) * 6 * 8 * 3);
    latents.destroy();
  });
});

describe('tiles', () => {
  test('a picture no larger than one is not cut', async () => {
    const shape = [1, 3, 9, 12, 10];
    const video = random(shape);
    expect(await encodeValues(vae, video, shape, { tiling: true })).toEqual(
      await encodeValues(vae, video, shape),
    );
  });

  test('where its own tiles do not add up, a picture of the VAE’s size is whole, a larger one is cut by whole latents', async () => {
    const config = { ...tinyConfig, sample_height: 16, sample_width: 24 };
    const small = new CogVideoXVae(device, config, randomParameters(device));
    const shape = [1, 3, 5, 16, 24];
    const video = random(shape);
    const tiling = { tileSampleMinHeight: 8, tileSampleMinWidth: 12 };
    const said: string[] = [];
    const odd = await encodeValues(small, video, shape, { tiling, onWarning: (line) => said.push(line) });
    expect(said).toEqual([
      expect.stringContaining(`the result has ${odd.shape[3]} rows instead of 8, as in the original`),
      expect.stringContaining(`the result has ${odd.shape[4]} columns instead of 12, as in the original`),
    ]);
    const posterior = await encodeValues(small, video, shape, { tiling: true });
    expect(posterior).toEqual(await encodeValues(small, video, shape));
    const decoded = await decodeValues(small, posterior.mean, posterior.shape, { tiling: true });
    expect(decoded).toEqual(await decodeValues(small, posterior.mean, posterior.shape));
    const large = [1, 3, 5, 20, 24];
    const values = random(large);
    const even = { tileSampleMinHeight: 12, tileSampleMinWidth: 20 };
    expect(await encodeValues(small, values, large, { tiling: true })).toEqual(
      await encodeValues(small, values, large, { tiling: even }),
    );
    small.destroy();
  });

  test('a picture that tiles do not divide evenly', async () => {
    const shape = [1, 3, 5, 24, 30];
    const { moments, shape: latent } = await encodeValues(vae, random(shape), shape, { tiling: true });
    expect(latent).toEqual([1, 5, 3, 12, 15]);
    expect(moments.every(Number.isFinite)).toBe(true);
  });
});

describe('a call', () => {
  const shape = [1, 3, 17, 24, 30];
  const options = { tiling: true };
  const size = { frames: 17, height: 24, width: 30 };
  const upload = () => DeviceTensor.from(device, random(shape), [1, 17, 24, 30, 3], 'f32');

  test('reports progress from 0 to 1, keeps to its estimate and gives its memory back', async () => {
    const { memory } = device;
    const video = upload();
    const before = memory.allocated;
    const estimate = vae.estimateEncode(size, options);
    expect(memory.allocated).toBe(before);
    expect(estimate.bytes).toBeLessThan(vae.estimateEncode(size).bytes);
    memory.peak = before;
    const seen: number[] = [];
    const posterior = await vae.encode(video, { ...options, onProgress: (done) => seen.push(done) });
    posterior.destroy();
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBeCloseTo(1, 6);
    expect(seen.length).toBeGreaterThan(9);
    expect(memory.allocated).toBe(before);
    const used = memory.peak - before;
    expect(used).toBeGreaterThan(0.99 * estimate.bytes);
    expect(used).toBeLessThanOrEqual(estimate.bytes);
    video.destroy();
  });

  test('is repeatable bit for bit', async () => {
    const video = random(shape);
    expect(await encodeValues(vae, video, shape, options)).toEqual(
      await encodeValues(vae, video, shape, options),
    );
  });

  test('stops when aborted, and frees what it had', async () => {
    const before = device.memory.allocated;
    const controller = new AbortController();
    const run = encodeValues(vae, random(shape), shape, {
      ...options,
      signal: controller.signal,
      onProgress: (done) => done > 0.3 && controller.abort(new Error('enough')),
    });
    await expect(run).rejects.toThrow('enough');
    expect(device.memory.allocated).toBe(before);
  });

  test('that cannot fit says so before it begins', async () => {
    const video = upload();
    const { bytes } = vae.estimateEncode(size);
    const { limit } = device.memory;
    Object.assign(device.memory, { limit: device.memory.allocated + bytes - 1 });
    const before = device.memory.allocated;
    try {
      await expect(vae.encode(video)).rejects.toThrow(PlanTooLargeError);
      expect(device.memory.allocated).toBe(before);
    } finally {
      Object.assign(device.memory, { limit });
      video.destroy();
    }
  });

  test.each([
    [[1, 3, 9, 24, 31], /video: height and width must be multiples of 2, got 24 x 31/],
    [[1, 4, 9, 24, 30], /video: expected 3 channels, got 4/],
  ])('of shape %j is refused', async (wrong, message) => {
    await expect(encodeValues(vae, random(wrong), wrong)).rejects.toThrow(message);
    await expect(encodeValues(vae, random(wrong), wrong)).rejects.toThrow(InvalidArgumentError);
  });

  test.each<[number[], 'f32' | 'u32', RegExp]>([
    [[1, 5, 2, 3], 'f32', /latents: expected a shape \[1, latent frames, channels, height, width\]/],
    [[2, 1, 5, 2, 3], 'f32', /latents: expected a shape/],
    [[1, 1, 5, 2, 3], 'u32', /latents: expected f32, got a tensor of u32/],
  ])('with a tensor %j of %s is refused', async (wrong, dtype, message) => {
    const tensor = new DeviceTensor(device, { shape: wrong, dtype });
    await expect(vae.decode(tensor)).rejects.toThrow(message);
    tensor.destroy();
  });
});

test('posterior: clamped, and sampled with its deviation, as the noise was drawn', async () => {
  const values = Float32Array.of(1, 2, -50, 2 * Math.log(3), 5, 6, 40, 0);
  const posterior = new Posterior(DeviceTensor.from(device, values, [1, 2, 2, 1, 2], 'f32'));
  const noise = DeviceTensor.from(device, Float32Array.of(1, -2, 0, 0.5), [1, 1, 2, 1, 2], 'f32');
  const made = await evaluate(device, {
    mode: posterior.mode(),
    logvar: posterior.logvar(),
    sample: posterior.sample(parameter(noise)),
  });
  expect(made.mode.shape).toEqual([1, 2, 1, 1, 2]);
  expect([...(await made.mode.read())]).toEqual([1, 2, 5, 6]);
  expect([...(await made.logvar.read())]).toEqual([-30, Math.fround(2 * Math.log(3)), 20, 0]);
  const sample = await made.sample.read();
  expect(sample[1]).toBeCloseTo(2 - 6, 5);
  expect([sample[2], sample[3]]).toEqual([5, 6.5]);
  posterior.destroy();
});

describe('config', () => {
  const parse = (changes: object) => () => parseVaeConfig(changes, 'vae/config.json');

  test('defaults are those of the class', () => {
    const config = parse({ _class_name: 'AutoencoderKLCogVideoX' })();
    expect(config).toMatchObject({ block_out_channels: [128, 256, 256, 512], layers_per_block: 3 });
    expect(config.scaling_factor).toBe(1.15258426);
  });

  test.each([
    [{ use_quant_conv: true }, /use_quant_conv: not supported/],
    [{ latents_mean: [0, 1] }, /latents_mean: not supported/],
    [{ shift_factor: 0.1 }, /shift_factor: not supported/],
    [{ invert_scale_latents: true }, /invert_scale_latents: not supported/],
    [{ act_fn: 'relu' }, /act_fn/],
    [{ down_block_types: ['CogVideoXDownBlock3D'] }, /down_block_types: expected 4/],
    [{ norm_num_groups: 48 }, /norm_num_groups: 48 groups do not divide the 128/],
    [{ temporal_compression_ratio: 3 }, /temporal_compression_ratio/],
    [{ temporal_compression_ratio: 16 }, /temporal_compression_ratio: 16 needs 5 block_out_channels/],
    [{ mid_block_add_attention: true }, /mid_block_add_attention: unknown key/],
  ])('%j is refused', (changes, message) => {
    expect(parse(changes)).toThrow(message);
    expect(parse(changes)).toThrow(InvalidFileError);
  });
});
