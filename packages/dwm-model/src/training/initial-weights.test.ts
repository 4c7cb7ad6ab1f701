/** Weights from scratch: their distribution, and that they depend on the seed alone. */
import { readFileSync } from 'node:fs';
import { DeviceTensor, evaluate, parameter, permute } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { relativeError } from '@dwm/core-tensor/testing';
import { expect, test } from 'vitest';
import { readTransformerConfig, transformerParameters } from '../transformer/index.ts';
import { CogVideoXVae, parseVaeConfig, vaeParameters } from '../vae/index.ts';
import { decodeValues, encodeValues } from '../vae/testing.ts';
import { Parameters } from '../weights/parameters.ts';
import { initialVae } from './initial-vae.ts';
import { initialTransformer } from './initial-weights.ts';

const largest = (values: Float32Array) => Math.max(...values.map(Math.abs));
const deviation = (values: Float32Array) => Math.hypot(...values) / Math.sqrt(values.length);
const distinct = (values: Float32Array) => [...new Set(values)];

/** The small model's config of a part, with other sizes. */
function baseConfig(part: string, sizes: object): object {
  const file = new URL(`../../../../configs/dwm-tiny/base/${part}/config.json`, import.meta.url);
  return { ...JSON.parse(readFileSync(file, 'utf8')), ...sizes };
}

const sizes = { block_out_channels: [8, 16, 32], norm_num_groups: 1, latent_channels: 6 };
const config = parseVaeConfig(baseConfig('vae', sizes), 'config.json');
const specs = vaeParameters(config);

test('the VAE: uniform by fan-in, residual branches closed, the same for the same seed', () => {
  const weights = initialVae(specs, 3);
  expect([...weights.keys()]).toEqual(Object.keys(specs));
  const get = (name: string) => weights.get(name)!;

  const carries = get('decoder.conv_in.conv.weight');
  const fanIn = 6 * 27;
  const detail = carries.subarray(3 * fanIn);
  expect(deviation(detail)).toBeCloseTo(1 / Math.sqrt(fanIn), 2);
  expect(largest(detail)).toBeLessThanOrEqual(Math.sqrt(3 / fanIn));
  const branch = get('decoder.mid_block.resnets.0.conv1.conv.weight');
  expect(deviation(branch)).toBeCloseTo(1 / Math.sqrt(3 * 32 * 27), 3);
  expect(distinct(get('encoder.mid_block.resnets.0.conv2.conv.weight'))).toEqual([0]);

  expect(initialVae(specs, 3)).toEqual(weights);
  expect(initialVae(specs, 4).get('decoder.conv_in.conv.weight')).not.toEqual(carries);
});

test.each([6, 12])(
  'the VAE with %i latent channels keeps smooth colours before any training',
  async (channels) => {
    const wide = parseVaeConfig(
      baseConfig('vae', { ...sizes, block_out_channels: [8, 16, 64], latent_channels: channels }),
      'config.json',
    );
    const device = await openNodeDevice();
    const tensors = new Map<string, DeviceTensor>();
    for (const [name, values] of initialVae(vaeParameters(wide), 5)) {
      const { shape, order } = vaeParameters(wide)[name];
      const tensor = DeviceTensor.from(device, values, shape, 'f32', name);
      const own = order ? (await evaluate(device, { own: permute(parameter(tensor), order) })).own : tensor;
      tensors.set(name, own);
    }
    const vae = new CogVideoXVae(device, wide, new Parameters(tensors));
    const [frames, height, width] = [9, 32, 40];
    const clip = Float32Array.from({ length: 3 * frames * height * width }, (_, i) => {
      const [c, y, x] = [
        Math.floor(i / (frames * height * width)),
        Math.floor(i / width) % height,
        i % width,
      ];
      return 0.5 * Math.sin(c + x / 12) + 0.3 * Math.cos(y / 9) - 0.2;
    });
    const { mean, shape } = await encodeValues(vae, clip, [1, 3, frames, height, width]);
    const decoded = await decodeValues(vae, mean, shape);
    // Borders blend with what lies outside.
    const inside = (_: number, i: number) => {
      const [y, x] = [Math.floor(i / width) % height, i % width];
      return y >= 4 && y < height - 4 && x >= 4 && x < width - 4;
    };
    expect(relativeError(decoded.data.filter(inside), clip.filter(inside))).toBeLessThan(0.1);
    vae.destroy();
    device.destroy();
  },
  60_000,
);

test('the transformer: every block the identity, noise and conditioning apart', () => {
  const sizes = { num_attention_heads: 2, attention_head_dim: 16, num_layers: 1, patch_size: 2 };
  const json = baseConfig('transformer', { ...sizes, in_channels: 9, out_channels: 4 });
  const weights = initialTransformer(transformerParameters(readTransformerConfig(json, 'config.json')), 3);
  expect(distinct(weights.get('transformer_blocks.0.norm1.linear.weight')!)).toEqual([0]);
  expect(distinct(weights.get('proj_out.weight')!)).toEqual([0]);

  const patch = weights.get('patch_embed.proj.weight')!;
  const row = (i: number) => patch.subarray(i * 36, (i + 1) * 36);
  const noiseRows = patch.slice(0, 16 * 36).filter((_, i) => i % 36 < 16);
  expect(deviation(noiseRows)).toBeCloseTo(1 / Math.sqrt(3 * 16), 1);
  for (let i = 0; i < 32; i++) {
    const [noise, others] = [row(i).subarray(0, 16), row(i).subarray(16)];
    expect(distinct(i < 16 ? others : noise).every((value) => value === 0)).toBe(true);
    expect(largest(i < 16 ? noise : others)).toBeGreaterThan(0);
  }
});
