/** Video to latents and back, on the device from end to end. */
import {
  type Device,
  DeviceTensor,
  elementCount,
  evaluate,
  mul,
  parameter,
  permute,
  randomReference,
  type Tensor,
} from '@dwm/core-tensor';
import type { ClipCodec, Posterior, VaeRunOptions } from '../vae/index.ts';
import { toDevice } from './transfer.ts';
import type { DeviceVideo, Latents, Video, VideoSize } from './video.ts';

/**
 * The posterior of a video as it is, the caller's.
 * @throws as `ClipCodec.encode`.
 */
export async function encodeVideo(
  vae: Pick<ClipCodec, 'device' | 'encode'>,
  video: Video,
  options?: VaeRunOptions,
): Promise<Posterior> {
  const up = await toDevice(vae.device, video, video);
  try {
    return await vae.encode(up, options);
  } finally {
    up.destroy();
  }
}

/** As `encodeVideo`, of values [frames, height, width, 3] in [-1, 1] that are on the host. */
export async function encodeValues(
  vae: Pick<ClipCodec, 'device' | 'encode'>,
  values: Float32Array,
  { frames, height, width }: VideoSize,
): Promise<Posterior> {
  const up = DeviceTensor.from(vae.device, values, [1, frames, height, width, 3], 'f32', 'video');
  return vae.encode(up).finally(() => up.destroy());
}

/**
 * The video of latents as the transformer sees them, the caller's; the latents stay as they are.
 * @throws as `ClipCodec.decode`.
 */
export async function decodeVideo(
  vae: Pick<ClipCodec, 'device' | 'decode' | 'shape'>,
  latents: Latents,
  options?: VaeRunOptions,
): Promise<DeviceVideo> {
  const { plain } = await evaluate(vae.device, {
    plain: mul(parameter(latents), 1 / vae.shape.scalingFactor),
  });
  try {
    return await vae.decode(plain, options);
  } finally {
    plain.destroy();
  }
}

/** Values that come down in the order of files of latents, [channels, latent frames, h, w]. */
export interface FileLatents {
  readonly shape: number[];
  readonly values: Float32Array;
}

/** @param latents or moments, [1, latent frames, channels, h, w]. */
export async function fileLatents(device: Device, latents: Tensor): Promise<FileLatents> {
  const { ordered } = await evaluate(device, { ordered: permute(latents, [0, 2, 1, 3, 4]) });
  try {
    return { shape: ordered.shape.slice(1), values: (await ordered.read()) as Float32Array };
  } finally {
    ordered.destroy();
  }
}

/**
 * One draw from a posterior, as training takes it; the posterior is destroyed.
 * @param key of the random numbers, and `stream` of the one clip.
 */
export async function drawnLatents(
  device: Device,
  posterior: Posterior,
  key: readonly [number, number],
  stream: number,
): Promise<FileLatents> {
  const [, frames, both, height, width] = posterior.moments.shape;
  const shape = [1, both / 2, frames, height, width];
  const normals = { count: elementCount(shape), distribution: 'normal', stream } as const;
  const values = Float32Array.from(randomReference(normals, key));
  const noise = DeviceTensor.from(device, values, shape, 'f32', 'noise');
  try {
    return await fileLatents(device, posterior.sample(parameter(noise)));
  } finally {
    noise.destroy();
    posterior.destroy();
  }
}
