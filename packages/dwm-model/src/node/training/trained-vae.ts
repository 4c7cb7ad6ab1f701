/** A VAE as it is being trained, and what it makes of latents. */
import { type Device, type DeviceTensor, evaluate, parameter } from '@dwm/core-tensor';
import type { Trainable } from '../../training/trainable.ts';
import { CogVideoXVae, type VaeConfig, vaeParameters } from '../../vae/index.ts';
import { toBytes } from '../../video/transfer.ts';
import type { Video } from '../../video/video.ts';
import { Parameters } from '../../weights/parameters.ts';
import type { Sample } from './dataset.ts';
import type { TaskContext } from './task.ts';

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

/** The samples that validation shows: without a validation set, what the VAE learns from must do. */
export const shownSamples = (
  { datasets, config: { data } }: TaskContext,
  given: readonly Sample[],
): readonly Sample[] => (given.length > 0 ? given : datasets[0].slice(0, data.num_validation_videos));

/** The name of a picture of a sample, good for a file too. */
export const pictureName = ({ name }: Sample, kind: string): string =>
  `${name.replace(/\.[^.]+$/, '').replaceAll(/[\\/]/g, '_')} ${kind}`;

/** Bytes as values in [-1, 1]. */
export const signedValues = (bytes: Uint8Array): Float32Array =>
  Float32Array.from(bytes, (byte) => byte / 127.5 - 1);

/**
 * What the VAE makes of latents [1, latent frames, channels, h, w] that are not scaled, as displayed and before the
 * rounding, [frames, height, width, 3] in about [-1, 1].
 */
export async function reconstruct(
  vae: CogVideoXVae,
  latents: DeviceTensor,
): Promise<{ shown: Video; values: Float32Array }> {
  const video = await vae.decode(latents);
  try {
    return { values: (await video.read()) as Float32Array, shown: await toBytes(video) };
  } finally {
    video.destroy();
  }
}
