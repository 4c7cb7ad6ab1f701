import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Device, InvalidFileError } from '@dwm/core-tensor';
import {
  filesFolder,
  type SafetensorsTensor,
  type TensorEntry,
  writeSafetensors,
} from '@dwm/core-tensor/files';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { randomNormals, relativeError, seeded } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkWanVae } from '../../../tests/fixtures/wan-vae.ts';
import { decodeValues, encodeValues, randomParameters } from '../../vae/testing.ts';
import { diffusersVaeName, parseWanVaeConfig, WanVae, wanVaeConfigOf, wanVaeParameters } from './index.ts';
import { latentTable } from './latent-tables.ts';

const repository = resolve(import.meta.dirname, '../../../../..');
const golden = resolve(repository, process.env.DWM_SHARED || '../shared', 'fixtures/wan_vae');

let device: Device;
beforeAll(async () => {
  device = await openNodeDevice();
});
afterAll(() => device.destroy());

const table = latentTable(16)!;
const json = {
  ...{ _class_name: 'AutoencoderKLWan', base_dim: 4, dim_mult: [1, 2], num_res_blocks: 1, z_dim: 16 },
  temperal_downsample: [true],
};
const tiny = parseWanVaeConfig(json, 'config.json');
const normals = (shape: readonly number[], seed = 1) =>
  randomNormals(
    shape.reduce((a, b) => a * b, 1),
    seeded(seed),
  );

test('golden tensors', { timeout: 300_000 }, async ({ skip }) => {
  skip(!existsSync(golden), 'skipped, no shared data');
  const checks = await checkWanVae(device, golden, 'f32');
  expect(checks.length).toBe(46);
  expect(checks.filter(({ error }) => !(error < 5e-6))).toEqual([]);
});

describe('a small network', () => {
  let vae: WanVae;
  beforeAll(() => {
    vae = new WanVae(device, tiny, randomParameters(device, wanVaeParameters(tiny)));
  });

  test('frames beyond the last whole group are not encoded, and change nothing', async () => {
    const video = normals([3, 4, 6, 10], 2);
    const shorter = Float32Array.from([0, 1, 2].flatMap((c) => [...video.subarray(c * 240, c * 240 + 180)]));
    const all = await encodeValues(vae, video, [1, 3, 4, 6, 10]);
    expect(all.shape).toEqual([1, 16, 2, 3, 5]);
    expect(all).toEqual(await encodeValues(vae, shorter, [1, 3, 3, 6, 10]));
  });

  test('odd pictures lose what the halvings leave over; what comes later changes nothing before', async () => {
    const shape = [2, 3, 5, 7, 9];
    const video = normals(shape);
    const both = await encodeValues(vae, video, shape);
    expect(both.shape).toEqual([2, 16, 3, 3, 4]);
    const second = await encodeValues(vae, video.slice(video.length / 2), [1, 3, 5, 7, 9]);
    expect(relativeError(second.mean, both.mean.slice(both.mean.length / 2))).toBeLessThan(1e-6);
    const decoded = await decodeValues(vae, both.mean, both.shape);
    expect(decoded.shape).toEqual([2, 3, 5, 6, 8]);
    expect(decoded.data.every((value) => value >= -1 && value <= 1)).toBe(true);
    const first = second.mean.filter((_, i) => i % 36 < 24);
    const begin = await decodeValues(vae, first, [1, 16, 2, 3, 4]);
    const whole = await decodeValues(vae, second.mean, second.shape);
    expect(begin.data.slice(0, 3 * 48)).toEqual(whole.data.slice(0, 3 * 48));
  });

  test('the mean is normalised, the variance is not', async () => {
    const shape = [1, 3, 1, 4, 6];
    const { mean, logvar, moments } = await encodeValues(vae, normals(shape), shape);
    const channel = 5;
    const at = channel * 6 + 4;
    expect(mean[at]).toBeCloseTo((moments[at] - table.mean[channel]) / table.std[channel], 6);
    expect(logvar[at]).toBe(moments[16 * 6 + at]);
  });

  test('memory does not grow with the clip', () => {
    const picture = { height: 16, width: 24 };
    const latent = { channels: 16, height: 8, width: 12 };
    // Beside the result, which is on the device.
    const encode = (frames: number) =>
      vae.estimateEncode({ frames, ...picture }).bytes - 4 * 32 * 96 * ((frames - 1) / 2 + 1);
    const decode = (frames: number) =>
      vae.estimateDecode({ frames, ...latent }).bytes - 4 * 3 * 384 * (2 * (frames - 1) + 1);
    expect([encode(5), encode(49)]).toEqual([encode(9), encode(9)]);
    expect(decode(13)).toBe(decode(3));
  });

  test('tiles are an option', async () => {
    const shape = [1, 3, 3, 24, 20];
    const size = { frames: 3, height: 24, width: 20 };
    const video = normals(shape);
    const whole = await encodeValues(vae, video, shape);
    const tiling = { tileSampleMinHeight: 12, tileSampleMinWidth: 20 };
    const tiled = await encodeValues(vae, video, shape, { tiling });
    expect(tiled.shape).toEqual(whole.shape);
    expect(relativeError(tiled.mean, whole.mean)).toBeGreaterThan(1e-4);
    expect(vae.estimateEncode(size, { tiling }).bytes).toBeLessThan(vae.estimateEncode(size).bytes);
    expect(await encodeValues(vae, video, shape, { tiling: true })).toEqual(whole);
    const large = { frames: 1, height: 480, width: 720 };
    expect(vae.estimateEncode(large, { tiling: true }).bytes).toBeLessThan(vae.estimateEncode(large).bytes);
  });
});

test('attention over many pixels is cut into rows of queries', () => {
  const [wide, narrow] = [96, 48].map((side) => ({ channels: 16, frames: 1, height: side, width: side }));
  const vae = new WanVae(device, tiny, randomParameters(device, wanVaeParameters(tiny)));
  // Four times the pixels take four times the memory and not sixteen times, as the square of them would.
  const ratio = vae.estimateDecode(wide).bytes / vae.estimateDecode(narrow).bytes;
  expect(ratio).toBeLessThan(8);
  vae.destroy();
});

/** A file of weights with Wan's names, filled with zeros. */
const entries = (specs: ReturnType<typeof wanVaeParameters>) =>
  new Map(
    Object.entries(specs).map(([name, { shape }]): [string, TensorEntry] => [
      name,
      { dtype: 'F32', shape, begin: 0, end: 0, file: 'Wan2.1_VAE.pth' },
    ]),
  );

describe('what the file is', () => {
  test.each([
    ['Wan 2.1', { base_dim: 96 }],
    [
      'other multiples',
      { base_dim: 6, dim_mult: [2, 1.5, 4], temperal_downsample: [true, false], num_res_blocks: 3 },
    ],
    [
      'Wan 2.2',
      {
        ...{ base_dim: 160, decoder_base_dim: 256, z_dim: 48, is_residual: true },
        ...{ patch_size: 2, in_channels: 12, out_channels: 12 },
      },
    ],
  ])('%s is known by its weights, and has as many names of diffusers', (_, given) => {
    const config = parseWanVaeConfig(given, 'config.json');
    const specs = wanVaeParameters(config);
    const found = wanVaeConfigOf({ name: 'Wan2.1_VAE.pth', tensors: entries(specs) });
    expect(found).toEqual({ ...config, names: 'native' });
    const names = Object.keys(specs).map((name) => diffusersVaeName(config, name));
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => /residual|upsamples|downsamples|middle|head/.test(name))).toEqual([]);
  });

  const vae = (changes: Record<string, SafetensorsTensor | undefined> = {}) => {
    const weights = new Map<string, SafetensorsTensor>();
    for (const [name, { shape }] of Object.entries(wanVaeParameters(tiny)))
      weights.set(name, { dtype: 'F32', shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
    for (const [name, tensor] of Object.entries(changes)) {
      if (tensor) weights.set(name, tensor);
      else weights.delete(name);
    }
    const file = new File([writeSafetensors(weights) as BlobPart], 'Wan2.1_VAE.safetensors');
    return WanVae.load(device, filesFolder([file]));
  };

  test('safetensors with Wan’s names load without a config', async () => {
    const loaded = await vae();
    expect(loaded.config).toEqual({ ...tiny, names: 'native' });
    loaded.destroy();
  });

  test.each([
    [
      'no decoder',
      { 'decoder.head.0.gamma': undefined },
      'has no decoder.head.0.gamma; expected the VAE of Wan',
    ],
    [
      'a weight too many',
      { extra: { dtype: 'F32', shape: [1], data: new Float32Array(1) } },
      'extra is not part of this network',
    ],
    [
      'another number of latents',
      { 'conv2.weight': { dtype: 'F32', shape: [7, 7, 1, 1, 1], data: new Float32Array(49) } },
      'has 7 latent channels, whose means are not known',
    ],
  ] as [string, Record<string, SafetensorsTensor | undefined>, string][])(
    '%s is refused in one line',
    async (_, changes, message) => {
      const error = await vae(changes).then(
        () => expect.fail('was loaded'),
        (caught) => caught,
      );
      expect(error).toBeInstanceOf(InvalidFileError);
      expect(error.message).toContain(message);
      expect(error.message.split('\n')).toHaveLength(1);
    },
  );

  test.each([
    [{ attn_scales: [0.5] }, 'attn_scales: not supported'],
    [{ temperal_downsample: [true] }, 'temperal_downsample: expected 3'],
    [{ latents_mean: [0, 1] }, 'latents_mean: expected 16 numbers'],
    [{ z_dim: 7 }, 'latents_mean: expected 7 numbers, one for each of z_dim, got none'],
    [{ base_dims: 7 }, 'base_dims: unknown key'],
    [{ in_channels: 4 }, 'in_channels: expected out_channels'],
  ])('%j is refused', (changes, message) => {
    expect(() => parseWanVaeConfig(changes, 'config.json')).toThrow(`config.json: ${message}`);
  });
});
