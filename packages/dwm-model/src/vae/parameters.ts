/** Names and shapes of the VAE's weights, as diffusers writes them. */
import { convolution, type ParameterSpec, type ParameterSpecs } from '../weights/parameters.ts';
import type { VaeConfig } from './config.ts';

/** Names and shapes of the VAE's weights. */
export function vaeParameters(config: VaeConfig): ParameterSpecs {
  const { in_channels, out_channels, latent_channels: latent, layers_per_block: layers } = config;
  const channels = config.block_out_channels;
  const last = channels[channels.length - 1];
  const specs: Record<string, ParameterSpec> = {};

  const conv = (name: string, from: number, to: number, kernel: readonly number[]) => {
    specs[`${name}.weight`] = convolution([to, from, ...kernel]);
    specs[`${name}.bias`] = { shape: [to] };
  };
  const causal = (name: string, from: number, to: number, taps = 3) =>
    conv(`${name}.conv`, from, to, [taps, taps, taps]);
  const affine = (name: string, count: number) => {
    specs[`${name}.weight`] = { shape: [count] };
    specs[`${name}.bias`] = { shape: [count] };
  };
  const spatialNorm = (name: string, count: number) => {
    affine(`${name}.norm_layer`, count);
    causal(`${name}.conv_y`, latent, count, 1);
    causal(`${name}.conv_b`, latent, count, 1);
  };
  const resnets = (name: string, count: number, from: number, to: number, norm: typeof affine) => {
    for (let i = 0; i < count; i++) {
      const resnet = `${name}.resnets.${i}`;
      const input = i === 0 ? from : to;
      norm(`${resnet}.norm1`, input);
      causal(`${resnet}.conv1`, input, to);
      norm(`${resnet}.norm2`, to);
      causal(`${resnet}.conv2`, to, to);
      if (input !== to) conv(`${resnet}.conv_shortcut`, input, to, [1, 1, 1]);
    }
  };

  causal('encoder.conv_in', in_channels, channels[0]);
  for (const [i, count] of channels.entries()) {
    const block = `encoder.down_blocks.${i}`;
    resnets(block, layers, channels[Math.max(0, i - 1)], count, affine);
    if (i < channels.length - 1) conv(`${block}.downsamplers.0.conv`, count, count, [3, 3]);
  }
  resnets('encoder.mid_block', 2, last, last, affine);
  affine('encoder.norm_out', last);
  causal('encoder.conv_out', last, 2 * latent);

  const reversed = channels.toReversed();
  causal('decoder.conv_in', latent, last);
  resnets('decoder.mid_block', 2, last, last, spatialNorm);
  for (const [i, count] of reversed.entries()) {
    const block = `decoder.up_blocks.${i}`;
    resnets(block, layers + 1, reversed[Math.max(0, i - 1)], count, spatialNorm);
    if (i < channels.length - 1) conv(`${block}.upsamplers.0.conv`, count, count, [3, 3]);
  }
  spatialNorm('decoder.norm_out', channels[0]);
  causal('decoder.conv_out', channels[0], out_channels);
  return specs;
}
