/** Encoder: four levels of residual blocks, each but the last half the size of the one before. */
import type { Tensor } from '@dwm/core-tensor';
import { timeLevels } from './config.ts';
import { causalConv, downsample, head, plainNorm, resnet, type Stretch } from './layers.ts';

/**
 * @param x [batch, frames, height, width, colours], in [-1, 1]; height and width divisible by the spatial ratio.
 * @returns [batch, latent frames, h, w, 2 · latent channels]: mean, then logarithm of the variance. An odd
 *   number of frames F gives (F - 1) / 4 + 1, an even one F / 4 (halved and rounded up at each level).
 */
export function encodeFrames(stretch: Stretch, x: Tensor): Tensor {
  const { config, observe } = stretch;
  const norm = plainNorm(stretch, config.norm_eps);
  const levels = config.block_out_channels.length;
  let h = causalConv(stretch, 'encoder.conv_in', x);
  observe?.('conv_in', h);
  for (let level = 0; level < levels; level++) {
    const block = `encoder.down_blocks.${level}`;
    for (let i = 0; i < config.layers_per_block; i++) h = resnet(stretch, `${block}.resnets.${i}`, norm, h);
    if (level < levels - 1) h = downsample(stretch, `${block}.downsamplers.0`, h, level < timeLevels(config));
    observe?.(`down${level}`, h);
  }
  for (let i = 0; i < 2; i++) h = resnet(stretch, `encoder.mid_block.resnets.${i}`, norm, h);
  observe?.('mid', h);
  return head(stretch, 'encoder', plainNorm(stretch), h);
}
