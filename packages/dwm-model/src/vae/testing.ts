/** A small VAE of random weights, for tests that need no files. */
import { type Device, DeviceTensor } from '@dwm/core-tensor';
import { type ParameterSpecs, Parameters } from '../weights/parameters.ts';
import { parseVaeConfig, type VaeConfig } from './config.ts';
import { vaeParameters } from './parameters.ts';

/** Two levels: half the size and half the frames. */
export const tinyConfig: VaeConfig = parseVaeConfig(
  {
    block_out_channels: [4, 8],
    down_block_types: ['CogVideoXDownBlock3D', 'CogVideoXDownBlock3D'],
    up_block_types: ['CogVideoXUpBlock3D', 'CogVideoXUpBlock3D'],
    latent_channels: 5,
    layers_per_block: 1,
    norm_num_groups: 2,
    temporal_compression_ratio: 2,
    sample_height: 24,
    sample_width: 20,
  },
  'tiny/config.json',
);

/** Normal values; deterministic. */
export function normals(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** Weights that keep activations near size 1. */
export function randomParameters(
  device: Device,
  specs: ParameterSpecs = vaeParameters(tinyConfig),
): Parameters {
  const tensors = new Map<string, DeviceTensor>();
  for (const [name, { shape, order }] of Object.entries(specs)) {
    const own = order ? order.map((d) => shape[d]) : shape;
    const fanIn = own.slice(0, -1).reduce((a, b) => a * b, 1);
    const centre = /norm.*weight$/.test(name) && own.length === 1 ? 1 : 0;
    const values = normals(
      own.reduce((a, b) => a * b, 1),
      tensors.size + 1,
    );
    const scaled = values.map((value) => centre + (own.length === 1 ? 0.3 : 1) * (value / Math.sqrt(fanIn)));
    tensors.set(name, DeviceTensor.from(device, scaled, own, 'f32', name));
  }
  return new Parameters(tensors);
}
