/** A VAE as it is being trained, and clips as it takes them. */
import { type Device, type DeviceTensor, evaluate, parameter } from '@dwm/core-tensor';
import type { Trainable } from '../../training/trainable.ts';
import { CogVideoXVae, type VaeConfig, vaeParameters } from '../../vae/index.ts';
import { Parameters } from '../../weights/parameters.ts';

/** The network with the weights as they are; the caller's to destroy. */
export async function trainedVae(
  device: Device,
  config: VaeConfig,
  trainable: Trainable,
  theta: DeviceTensor,
): Promise<CogVideoXVae> {
  const { weights } = trainable.bind(parameter(theta));
  const names = Object.keys(vaeParameters(config));
  const tensors = await evaluate(device, Object.fromEntries(names.map((name) => [name, weights.get(name)])));
  return new CogVideoXVae(device, config, new Parameters(new Map(Object.entries(tensors))));
}

/** Bytes [frames, height, width, 3] as [1, 3, frames, height, width] in [-1, 1]. */
export function channelsFirst(clip: Uint8Array): Float32Array {
  const out = new Float32Array(clip.length);
  const pixels = clip.length / 3;
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < pixels; i++) out[c * pixels + i] = clip[3 * i + c] / 127.5 - 1;
  }
  return out;
}

/** Values [1, 3, frames, height, width] in [-1, 1] as bytes [frames, height, width, 3]. */
export function toBytes(values: Float32Array): Uint8Array {
  const pixels = values.length / 3;
  const out = new Uint8Array(values.length);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < pixels; i++) {
      const value = (values[c * pixels + i] + 1) * 127.5;
      out[3 * i + c] = Math.round(Math.min(255, Math.max(0, value)));
    }
  }
  return out;
}
