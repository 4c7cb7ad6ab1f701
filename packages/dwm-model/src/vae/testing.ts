/** A small VAE of random weights, and VAEs on values of the host, for tests. */
import { type Device, DeviceTensor, evaluate, parameter, permute, type Tensor } from '@dwm/core-tensor';
import { deviceShape, type ParameterSpecs, Parameters } from '../weights/parameters.ts';
import type { ClipCodec, VaeRunOptions } from './clip-codec.ts';
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
  for (const [name, spec] of Object.entries(specs)) {
    const own = deviceShape(spec);
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

/** Values of a clip in the original's order, [batch, channels, frames, height, width]. */
interface ClipValues {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Runs `of` on every item of a batch, one after the other. */
async function eachItem(
  device: Device,
  values: Float32Array,
  [batch, ...item]: readonly number[],
  order: readonly number[],
  of: (x: DeviceTensor) => Promise<Record<string, ClipValues>>,
): Promise<Record<string, ClipValues>> {
  const results: Record<string, ClipValues>[] = [];
  const count = values.length / batch;
  for (let b = 0; b < batch; b++) {
    const planes = DeviceTensor.from(device, values.slice(b * count, (b + 1) * count), [1, ...item], 'f32');
    const { x } = await evaluate(device, { x: permute(parameter(planes), order) });
    planes.destroy();
    results.push(await of(x).finally(() => x.destroy()));
  }
  const joined = Object.keys(results[0]).map((name) => {
    const parts = results.map((result) => result[name]);
    const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
    for (const [b, part] of parts.entries()) data.set(part.data, b * part.data.length);
    return [name, { shape: [batch, ...parts[0].shape.slice(1)], data }];
  });
  return Object.fromEntries(joined);
}

async function valuesOf(device: Device, x: Tensor): Promise<ClipValues> {
  const { out } = await evaluate(device, { out: x });
  const data = (await out.read()) as Float32Array;
  out.destroy();
  return { shape: out.shape, data };
}

/** `vae.encode` on values: the posterior in the original's order. @param shape [batch, 3, frames, height, width]. */
export async function encodeValues(
  vae: ClipCodec,
  video: Float32Array,
  shape: readonly number[],
  options?: VaeRunOptions,
) {
  const { device } = vae;
  const planes = (x: Tensor) => valuesOf(device, permute(x, [0, 2, 1, 3, 4]));
  const { mode, logvar, moments } = await eachItem(device, video, shape, [0, 2, 3, 4, 1], async (x) => {
    const posterior = await vae.encode(x, options);
    const parts = {
      mode: await planes(posterior.mode()),
      logvar: await planes(posterior.logvar()),
      moments: await planes(parameter(posterior.moments)),
    };
    posterior.destroy();
    return parts;
  });
  return { shape: mode.shape, mean: mode.data, logvar: logvar.data, moments: moments.data };
}

/** `vae.decode` on values. @param shape [batch, channels, latent frames, h, w]. */
export async function decodeValues(
  vae: ClipCodec,
  latents: Float32Array,
  shape: readonly number[],
  options?: VaeRunOptions,
): Promise<ClipValues> {
  const { out } = await eachItem(vae.device, latents, shape, [0, 2, 1, 3, 4], async (x) => {
    const video = await vae.decode(x, options);
    const values = await valuesOf(vae.device, permute(parameter(video), [0, 4, 1, 2, 3]));
    video.destroy();
    return { out: values };
  });
  return out;
}

/** mean + exp(logvar / 2) · noise, on the host. */
export const sampleValues = (
  { mean, logvar }: { mean: Float32Array; logvar: Float32Array },
  noise: Float32Array,
): Float32Array => mean.map((value, i) => value + Math.exp(logvar[i] / 2) * noise[i]);
