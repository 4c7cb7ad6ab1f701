/**
 * What a Wan VAE is made of: from `config.json` of diffusers' AutoencoderKLWan, or, for Wan's own files, which come
 * without one, from the weights' names and shapes.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { Checkpoint } from '@dwm/core-tensor/files';
import * as z from 'zod';
import { layerCount, readConfig } from '../../weights/config.ts';
import { latentTable } from './latent-tables.ts';

/** Sizes of Wan's VAE, and the statistics of its latents. */
export interface WanVaeConfig {
  /** How the file names its weights. */
  readonly names: 'native' | 'diffusers';
  readonly colours: number;
  readonly latentChannels: number;
  /** Edge of the square of pixels that the network takes as one, 2 in Wan 2.2. */
  readonly patch: number;
  /** Channels that the encoder's first convolution makes. */
  readonly encoderWidth: number;
  /** Channels at each level of the encoder, from the largest picture to the smallest. */
  readonly encoderChannels: readonly number[];
  /** The same of the decoder, in the encoder's order. */
  readonly decoderChannels: readonly number[];
  /** Residual blocks a level of the encoder; the decoder has one more. */
  readonly blocks: number;
  /** Which of the steps from a level to the next halve the frames too. */
  readonly halvesFrames: readonly boolean[];
  /** Levels have a shortcut around them that needs no weights, as in Wan 2.2. */
  readonly shortcuts: boolean;
  /** Of each latent channel: latents are (z - mean) / deviation. */
  readonly latentsMean: readonly number[];
  readonly latentsStd: readonly number[];
}

const positive = z.int().positive();
const schema = z.object({
  base_dim: positive.default(96),
  decoder_base_dim: positive.nullable().default(null),
  z_dim: positive.default(16),
  dim_mult: z.array(z.number().positive()).nonempty().default([1, 2, 4, 4]),
  num_res_blocks: layerCount.default(2),
  attn_scales: z
    .array(z.number())
    .max(0, { error: 'not supported: attention outside the middle; expected []' })
    .default([]),
  temperal_downsample: z.array(z.boolean()).default([false, true, true]),
  dropout: z.number().default(0),
  latents_mean: z.array(z.number()).optional(),
  latents_std: z.array(z.number().positive()).optional(),
  is_residual: z.boolean().default(false),
  in_channels: positive.default(3),
  out_channels: positive.default(3),
  patch_size: z.literal([1, 2]).nullable().default(null),
  // These follow from the rest.
  scale_factor_temporal: positive.optional(),
  scale_factor_spatial: positive.optional(),
  clip_output: z.literal(true).default(true),
});

/** @throws InvalidFileError naming the first key that is unknown, wrong or not supported. */
export function parseWanVaeConfig(json: unknown, file: string): WanVaeConfig {
  const config = readConfig(schema, json, file);
  const wrong = (field: string, problem: string) =>
    new InvalidFileError(file, `${field}: ${problem}`, { field });
  const levels = config.dim_mult.length;
  if (config.temperal_downsample.length !== levels - 1) {
    throw wrong('temperal_downsample', `expected ${levels - 1}, one fewer than dim_mult`);
  }
  const patch = config.patch_size ?? 1;
  if (config.in_channels !== config.out_channels || config.in_channels % patch ** 2 !== 0) {
    throw wrong(
      'in_channels',
      `expected out_channels, and a multiple of ${patch ** 2}, got ${config.in_channels}`,
    );
  }
  const table = latentTable(config.z_dim);
  const [mean, std] = [config.latents_mean ?? table?.mean, config.latents_std ?? table?.std];
  for (const [field, values] of Object.entries({ latents_mean: mean, latents_std: std })) {
    if (values?.length !== config.z_dim) {
      throw wrong(
        field,
        `expected ${config.z_dim} numbers, one for each of z_dim, got ${values?.length ?? 'none'}`,
      );
    }
  }
  const widths = (base: number) => config.dim_mult.map((factor) => base * factor);
  return {
    names: 'diffusers',
    colours: config.in_channels / patch ** 2,
    latentChannels: config.z_dim,
    patch,
    encoderWidth: config.base_dim,
    encoderChannels: widths(config.base_dim),
    decoderChannels: widths(config.decoder_base_dim ?? config.base_dim),
    blocks: config.num_res_blocks,
    halvesFrames: config.temperal_downsample,
    shortcuts: config.is_residual,
    latentsMean: mean!,
    latentsStd: std!,
  };
}

/**
 * The configuration that Wan's own file of weights has, under its names.
 * @throws InvalidFileError for weights of another network.
 */
export function wanVaeConfigOf({ name: file, tensors }: Pick<Checkpoint, 'name' | 'tensors'>): WanVaeConfig {
  const shape = (name: string): readonly number[] => {
    const entry = tensors.get(name);
    if (entry && entry.shape.length > 0) return entry.shape;
    throw new InvalidFileError(file, `has no ${name}; expected the VAE of Wan, such as Wan2.1_VAE.pth`, {
      field: name,
    });
  };
  const shortcuts = tensors.has('encoder.downsamples.0.downsamples.0.residual.2.weight');
  /** Channels after each block before a change of size, level by level. */
  const levels: number[][] = [[]];
  const halvesFrames: boolean[] = [];
  const visit = (block: string): boolean => {
    if (tensors.has(`${block}.residual.6.weight`)) {
      levels.at(-1)!.push(shape(`${block}.residual.6.weight`)[0]);
    } else if (tensors.has(`${block}.resample.1.weight`)) {
      halvesFrames.push(tensors.has(`${block}.time_conv.weight`));
      levels.push([]);
    } else return false;
    return true;
  };
  for (let i = 0; i < tensors.size; i++) {
    const block = `encoder.downsamples.${i}`;
    if (!shortcuts) {
      if (!visit(block)) break;
      continue;
    }
    let j = 0;
    while (visit(`${block}.downsamples.${j}`)) j++;
    if (j === 0) break;
  }
  const encoderChannels = levels.map((blocks) => blocks.at(-1) ?? 0);
  const [first] = encoderChannels;
  const decoderFirst = shape('decoder.head.0.gamma')[0];
  const latentChannels = shape('conv2.weight')[0];
  const table = latentTable(latentChannels);
  if (!table) {
    throw new InvalidFileError(
      file,
      `has ${latentChannels} latent channels, whose means are not known; expected 16 (Wan 2.1) or 48 (Wan 2.2), or a config.json with latents_mean and latents_std`,
      { field: 'conv2.weight' },
    );
  }
  const patch = shape('encoder.conv1.weight')[1] === 12 ? 2 : 1;
  return {
    names: 'native',
    colours: shape('encoder.conv1.weight')[1] / patch ** 2,
    latentChannels,
    patch,
    encoderWidth: shape('encoder.conv1.weight')[0],
    encoderChannels,
    decoderChannels: encoderChannels.map((channels) => (channels / first) * decoderFirst),
    blocks: levels[0].length,
    halvesFrames,
    shortcuts,
    latentsMean: table.mean,
    latentsStd: table.std,
  };
}

/** Pixels per latent pixel, along height and width. */
export const wanSpatialRatio = ({ encoderChannels, patch }: WanVaeConfig): number =>
  patch * 2 ** (encoderChannels.length - 1);

/** Frames per latent frame. */
export const wanTemporalRatio = ({ halvesFrames }: WanVaeConfig): number =>
  2 ** halvesFrames.filter((halves) => halves).length;
