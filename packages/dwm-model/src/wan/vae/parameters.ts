/** Names and shapes of a Wan VAE's weights, as Wan has them; `names.ts` has diffusers' names. */
import { convolution, type ParameterSpec, type ParameterSpecs } from '../../weights/parameters.ts';
import type { WanVaeConfig } from './config.ts';
import { type Block, decoderBlocks, encoderBlocks } from './structure.ts';

/** Names and shapes of the VAE's weights. */
export function wanVaeParameters(config: WanVaeConfig): ParameterSpecs {
  const { colours, patch, latentChannels: latent, encoderWidth, encoderChannels, decoderChannels } = config;
  const specs: Record<string, ParameterSpec> = {};
  const conv = (name: string, from: number, to: number, kernel: readonly number[]) => {
    specs[`${name}.weight`] = convolution([to, from, ...kernel]);
    specs[`${name}.bias`] = { shape: [to] };
  };
  const cube = (name: string, from: number, to: number) => conv(name, from, to, [3, 3, 3]);
  const norm = (name: string, channels: number, dims = 3) => {
    specs[`${name}.gamma`] = { shape: [channels, ...new Array(dims).fill(1)] };
  };
  const residual = (name: string, from: number, to: number) => {
    norm(`${name}.residual.0`, from);
    cube(`${name}.residual.2`, from, to);
    norm(`${name}.residual.3`, to);
    cube(`${name}.residual.6`, to, to);
    if (from !== to) conv(`${name}.shortcut`, from, to, [1, 1, 1]);
  };
  const middle = (name: string, channels: number) => {
    residual(`${name}.0`, channels, channels);
    norm(`${name}.1.norm`, channels, 2);
    conv(`${name}.1.to_qkv`, channels, 3 * channels, [1, 1]);
    conv(`${name}.1.proj`, channels, channels, [1, 1]);
    residual(`${name}.2`, channels, channels);
  };
  const block = ({ name, kind, from, to, inTime }: Block) => {
    if (kind === 'residual') return residual(name, from, to);
    conv(`${name}.resample.1`, from, to, [3, 3]);
    if (inTime) conv(`${name}.time_conv`, from, kind === 'down' ? from : 2 * from, [3, 1, 1]);
  };

  const pixels = colours * patch ** 2;
  cube('encoder.conv1', pixels, encoderWidth);
  for (const { blocks } of encoderBlocks(config)) blocks.forEach(block);
  middle('encoder.middle', encoderChannels.at(-1)!);
  norm('encoder.head.0', encoderChannels.at(-1)!);
  cube('encoder.head.2', encoderChannels.at(-1)!, 2 * latent);
  conv('conv1', 2 * latent, 2 * latent, [1, 1, 1]);

  conv('conv2', latent, latent, [1, 1, 1]);
  cube('decoder.conv1', latent, decoderChannels.at(-1)!);
  middle('decoder.middle', decoderChannels.at(-1)!);
  for (const { blocks } of decoderBlocks(config)) blocks.forEach(block);
  norm('decoder.head.0', decoderChannels[0]);
  cube('decoder.head.2', decoderChannels[0], pixels);
  return specs;
}
