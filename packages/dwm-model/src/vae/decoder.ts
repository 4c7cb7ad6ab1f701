/** Decoder: the encoder's levels from the last to the first, every norm guided by the latents themselves. */
import type { Tensor } from '@dwm/core-tensor';
import { timeLevels } from './config.ts';
import { causalConv, head, resnet, type Stretch, spatialNorm, upsample } from './layers.ts';

/**
 * @param z [batch, latent frames, h, w, latent channels], not multiplied by the scaling factor.
 * @returns [batch, frames, height, width, colours], about -1 to 1. An odd number of latent frames f gives
 *   4 (f - 1) + 1 frames, an even one 4 f.
 */
export function decodeFrames(stretch: Stretch, z: Tensor): Tensor {
  const { config, observe } = stretch;
  const norm = spatialNorm(stretch, z);
  const levels = config.block_out_channels.length;
  let h = causalConv(stretch, 'decoder.conv_in', z);
  observe?.('conv_in', h);
  for (let i = 0; i < 2; i++) h = resnet(stretch, `decoder.mid_block.resnets.${i}`, norm, h);
  observe?.('mid', h);
  for (let level = 0; level < levels; level++) {
    const block = `decoder.up_blocks.${level}`;
    for (let i = 0; i <= config.layers_per_block; i++) h = resnet(stretch, `${block}.resnets.${i}`, norm, h);
    if (level < levels - 1) h = upsample(stretch, `${block}.upsamplers.0`, h, level < timeLevels(config));
    observe?.(`up${level}`, h);
  }
  return head(stretch, 'decoder', norm, h);
}
