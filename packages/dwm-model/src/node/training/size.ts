/** The one size that all clips of a run have. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { ExperimentConfig } from '../../training/config.ts';
import type { VideoSize } from '../../video/video.ts';

/** @throws InvalidArgumentError for several sizes, or frames that the VAE does not take. */
export function trainingSize({ data, training }: ExperimentConfig): VideoSize {
  const one = (name: 'height_buckets' | 'width_buckets' | 'frame_buckets') => {
    const [value, ...more] = data[name];
    if (value !== undefined && more.length === 0) return value;
    throw new InvalidArgumentError(`data.${name}`, `expected one size for all clips, got [${data[name]}]`);
  };
  const { max_num_frames: most } = training.custom_settings;
  const frames = data.max_num_frames ?? most ?? one('frame_buckets');
  const size = { frames, height: one('height_buckets'), width: one('width_buckets') };
  if ((size.frames - 1) % 4 !== 0) {
    const key =
      data.max_num_frames !== undefined
        ? 'data.max_num_frames'
        : most === undefined
          ? 'data.frame_buckets'
          : 'training.custom_settings.max_num_frames';
    throw new InvalidArgumentError(key, `expected 4k + 1 frames, got ${size.frames}`);
  }
  return size;
}

/** @throws InvalidArgumentError for a picture that is not of whole patches, `unit` pixels a side. */
export function checkBuckets(size: VideoSize, unit: number): void {
  for (const name of ['height', 'width'] as const) {
    if (size[name] % unit === 0) continue;
    throw new InvalidArgumentError(
      `data.${name}_buckets`,
      `expected a multiple of ${unit}, got ${size[name]}`,
    );
  }
}
