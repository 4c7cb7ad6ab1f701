/** What mode `vae` learns from: crops at random places of random videos, of all three kinds. */
import { elementCount, InvalidArgumentError, philox4x32, randomReference } from '@dwm/core-tensor';
import type { ExperimentConfig } from '../../training/config.ts';
import { MixedSampler } from '../../training/data/sampler.ts';
import { latentSize, SAMPLE_FRAMES, spatialRatio, type VaeConfig } from '../../vae/index.ts';
import type { ClipStore } from './clip-store.ts';
import { CLIPS } from './dataset.ts';
import { trainingSize } from './size.ts';
import type { Batch, TaskContext } from './task.ts';

const KEYS = { choices: 0x56414530, noise: 0x56414531 };

/** Frames, height and width of what is learned from. @throws InvalidArgumentError for sizes that the VAE does not take. */
export function cropOf(experiment: ExperimentConfig, config: VaeConfig): readonly [number, number, number] {
  const { training } = experiment;
  const size = trainingSize(experiment);
  const [frames, height, width] = training.vae_crop ?? [size.frames, size.height, size.width];
  const ratio = spatialRatio(config);
  // Other numbers of frames come back from the decoder as more than went in.
  const fits = (frames - 1) % SAMPLE_FRAMES === 0 && height % ratio === 0 && width % ratio === 0;
  if (!fits || frames > size.frames || height > size.height || width > size.width) {
    throw new InvalidArgumentError(
      training.vae_crop ? 'training.vae_crop' : 'data buckets',
      `the VAE learns from ${SAMPLE_FRAMES} k + 1 frames and multiples of ${ratio} pixels, at most [${size.frames}, ${size.height}, ${size.width}]; got [${frames}, ${height}, ${width}]`,
    );
  }
  return [frames, height, width];
}

/** Which clip is at which position of the run. */
export const samplerOf = ({ config, datasets }: TaskContext): MixedSampler =>
  new MixedSampler(
    config.training.seed,
    config.data.dataset_file.map(({ weight }, i) => ({ count: datasets[i].length, weight })),
  );

/** Batches by their position: crops, and noise for the draws of their latents. */
export function cropBatches(
  { config: experiment, datasets }: TaskContext,
  vae: VaeConfig,
  sampler: MixedSampler,
  clips: ClipStore,
): (position: number) => Promise<Batch> {
  const { seed, batch_size: count } = experiment.training;
  const size = trainingSize(experiment);
  const [frames, height, width] = cropOf(experiment, vae);
  const latent = latentSize(vae, { frames, height, width });
  const noiseCount = elementCount([latent.frames, latent.height, latent.width, latent.channels]);
  const pixels = frames * height * width * 3;

  /** The clip of a position in the run, and where its crop begins: frame, row, column. */
  async function choose(position: number): Promise<{ clip: Uint8Array; at: number[] }> {
    const draws = [0, 1].flatMap((word) => [
      ...philox4x32([position >>> 0, Math.floor(position / 2 ** 32), word, 0], [seed >>> 0, KEYS.choices]),
    ]);
    const below = (draw: number, most: number) => Math.floor((draws[draw] / 2 ** 32) * most);
    const { dataset, clip } = sampler.at(position);
    const which = CLIPS[below(0, CLIPS.length)];
    return {
      clip: await clips.load(datasets[dataset][clip][which]),
      at: [
        below(1, size.frames - frames + 1),
        below(2, size.height - height + 1),
        below(3, size.width - width + 1),
      ],
    };
  }

  return async (position) => {
    const video = new Float32Array(count * pixels);
    const noise = new Float32Array(count * noiseCount);
    for (let i = 0; i < count; i++) {
      const { clip, at } = await choose(position + i);
      const [first, top, left] = at;
      let write = i * pixels;
      for (let f = 0; f < frames; f++) {
        for (let y = 0; y < height; y++) {
          const read = (((first + f) * size.height + top + y) * size.width + left) * 3;
          for (let x = 0; x < 3 * width; x++) video[write++] = clip[read + x] / 127.5 - 1;
        }
      }
      const normals = { count: noiseCount, distribution: 'normal', stream: (position + i) >>> 0 } as const;
      noise.set(randomReference(normals, [seed >>> 0, KEYS.noise]), i * noiseCount);
    }
    return { video, noise };
  };
}
