/** Video and latents as values: what they hold, in one layout each, on the host and on the device. */
import { type DeviceTensor, InvalidArgumentError } from '@dwm/core-tensor';

/** Frames, height and width, in pixels. */
export interface VideoSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/** RGB video on the host: bytes [frames, height, width, 3]. */
export interface Video extends VideoSize {
  readonly data: Uint8Array;
}

/** RGB video on the device: f32 [1, frames, height, width, 3] in [-1, 1]. Whoever has it destroys it. */
export type DeviceVideo = DeviceTensor;

/**
 * Latents on the device, as the transformer sees them: f32 [1, latent frames, channels, height, width], times the VAE's
 * scaling factor. Whoever has them destroys them.
 */
export type Latents = DeviceTensor;

/**
 * @param field names the video in the message.
 * @throws InvalidArgumentError unless it has frames and its data is whole.
 */
export function checkVideo(field: string, { data, frames, height, width }: Video, channels = 3): void {
  if (frames === 0) throw new InvalidArgumentError(field, 'the video has no frames');
  for (const [name, value] of Object.entries({ frames, height, width })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new InvalidArgumentError(field, `${name}: expected a whole number from 1 up, got ${value}`);
  }
  const values = frames * height * width * channels;
  if (data.length !== values) {
    const shape = [frames, height, width, ...(channels > 1 ? [channels] : [])];
    throw new InvalidArgumentError(
      field,
      `expected ${values} values for [${shape.join(', ')}], got ${data.length}`,
    );
  }
}
