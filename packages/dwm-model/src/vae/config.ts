/** `vae/config.json` of diffusers' AutoencoderKLCogVideoX. What it can say and the network cannot do is refused. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import * as z from 'zod';
import { layerCount, readConfig, readJson } from '../weights/config.ts';

const FOUR = [0, 1, 2, 3];
const unsupported = (why: string) => ({ error: `not supported: ${why}; use a CogVideoX VAE` });

const schema = z.object({
  in_channels: z.int().positive().default(3),
  out_channels: z.int().positive().default(3),
  down_block_types: z
    .array(z.literal('CogVideoXDownBlock3D'))
    .nonempty()
    .default(() => FOUR.map(() => 'CogVideoXDownBlock3D' as const) as ['CogVideoXDownBlock3D']),
  up_block_types: z
    .array(z.literal('CogVideoXUpBlock3D'))
    .nonempty()
    .default(() => FOUR.map(() => 'CogVideoXUpBlock3D' as const) as ['CogVideoXUpBlock3D']),
  block_out_channels: z.array(z.int().positive()).nonempty().default([128, 256, 256, 512]),
  latent_channels: z.int().positive().default(16),
  layers_per_block: layerCount.default(3),
  act_fn: z.enum(['silu', 'swish']).default('silu'),
  norm_eps: z.number().positive().default(1e-6),
  norm_num_groups: z.int().positive().default(32),
  /** Frames per latent frame, a power of two. */
  temporal_compression_ratio: z.literal([1, 2, 4, 8, 16]).default(4),
  /** Pixels; only tiling uses them. */
  sample_height: z.int().positive().default(480),
  sample_width: z.int().positive().default(720),
  scaling_factor: z.number().positive().default(1.15258426),
  shift_factor: z.null(unsupported('a shift of the latents')).default(null),
  latents_mean: z.null(unsupported('a mean of each latent channel')).default(null),
  latents_std: z.null(unsupported('a deviation of each latent channel')).default(null),
  // A hint for running in f16, which is decided elsewhere here.
  force_upcast: z.boolean().default(true),
  // The original sizes both by the colour channels, so that it cannot run with them either.
  use_quant_conv: z.literal(false, unsupported('a quant_conv')).default(false),
  use_post_quant_conv: z.literal(false, unsupported('a post_quant_conv')).default(false),
  invert_scale_latents: z.literal(false, unsupported('dividing by the scaling factor')).default(false),
});

/** A VAE's config.json. */
export type VaeConfig = z.infer<typeof schema>;

/** @throws InvalidFileError naming the first key that is unknown, wrong or not supported. */
export function parseVaeConfig(json: unknown, file: string): VaeConfig {
  const config = readConfig(schema, json, file);
  const { block_out_channels: channels, norm_num_groups: groups } = config;
  const wrong = (field: string, problem: string) =>
    new InvalidFileError(file, `${field}: ${problem}`, { field });
  for (const field of ['down_block_types', 'up_block_types'] as const) {
    if (config[field].length !== channels.length) {
      throw wrong(field, `expected ${channels.length}, one for each of block_out_channels`);
    }
  }
  const undivided = channels.find((count) => count % groups !== 0);
  if (undivided !== undefined) {
    throw wrong('norm_num_groups', `${groups} groups do not divide the ${undivided} of block_out_channels`);
  }
  if (timeLevels(config) >= channels.length) {
    const needed = `${timeLevels(config) + 1} block_out_channels`;
    throw wrong('temporal_compression_ratio', `${config.temporal_compression_ratio} needs ${needed}`);
  }
  return config;
}

/** Reads `config.json` of the VAE's folder. Throws as `parseVaeConfig`. */
export async function readVaeConfig(folder: ModelFolder): Promise<VaeConfig> {
  const { json, file } = await readJson(folder, 'config.json');
  return parseVaeConfig(json, file);
}

/** Pixels per latent pixel, along height and width. */
export const spatialRatio = ({ block_out_channels: channels }: VaeConfig): number =>
  2 ** (channels.length - 1);

/** Size of a clip's latents. */
export interface LatentSize {
  readonly channels: number;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Latents of a clip whose height and width `ratio` divides, and whose frames are a multiple of `temporalRatio`, plus 1.
 */
export const latentSizeOf = (
  { ratio, temporalRatio, latentChannels }: { ratio: number; temporalRatio: number; latentChannels: number },
  { frames, height, width }: { frames: number; height: number; width: number },
): LatentSize => ({
  channels: latentChannels,
  frames: (frames - 1) / temporalRatio + 1,
  height: height / ratio,
  width: width / ratio,
});

/** Size of the latents of a clip. Its height and width are multiples of the VAE's ratio, its frames 4k + 1. */
export const latentSize = (
  config: VaeConfig,
  size: { frames: number; height: number; width: number },
): LatentSize =>
  latentSizeOf(
    {
      ratio: spatialRatio(config),
      temporalRatio: config.temporal_compression_ratio,
      latentChannels: config.latent_channels,
    },
    size,
  );

/** How many blocks halve (or double) the frames, beginning with the first. */
export const timeLevels = ({ temporal_compression_ratio: ratio }: VaeConfig): number => Math.log2(ratio);
