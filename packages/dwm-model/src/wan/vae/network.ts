/** Encoder and decoder of one stretch: a clip's first frame, or the frames of one latent frame after it. */
import { add, constant, maximum, minimum, mul, type Tensor } from '@dwm/core-tensor';
import type { Passage } from '../../vae/layers.ts';
import { type WanVaeConfig, wanTemporalRatio } from './config.ts';
import { causalConv, down, head, middle, pointConv, residual, up } from './layers.ts';
import { averageDown, patchify, repeatUp, unpatchify } from './shortcuts.ts';
import { type Block, decoderBlocks, encoderBlocks, type Level } from './structure.ts';

const RUN = {
  residual: (passage: Passage, { name }: Block, x: Tensor) => residual(passage, name, x),
  down,
  up,
};

function level(passage: Passage, { blocks }: Level, x: Tensor): Tensor {
  let h = x;
  for (const block of blocks) {
    h = RUN[block.kind](passage, block, h);
    passage.observe?.(block.name, h);
  }
  return h;
}

/**
 * @param x [batch, frames, height, width, colours] in [-1, 1]: one frame at first, then as many as a latent frame has.
 * @returns [batch, 1, h, w, 2 · latent channels]: mean as the network has it, then logarithm of the variance.
 */
export function encodeWanFrames(config: WanVaeConfig, passage: Passage, x: Tensor): Tensor {
  let h = causalConv(passage, 'encoder.conv1', patchify(x, config.patch));
  passage.observe?.('encoder.conv1', h);
  for (const each of encoderBlocks(config)) {
    const through = level(passage, each, h);
    h = config.shortcuts ? add(through, averageDown(each, h)) : through;
  }
  h = middle(passage, 'encoder.middle', h);
  passage.observe?.('encoder.middle', h);
  h = head(passage, 'encoder.head', h);
  passage.observe?.('encoder.head', h);
  return pointConv(passage, 'conv1', h);
}

/**
 * @param z [batch, 1, h, w, latent channels], normalised.
 * @returns [batch, frames, height, width, colours], -1 to 1: one frame at first, then as many as a latent frame has.
 */
export function decodeWanFrames(config: WanVaeConfig, passage: Passage, z: Tensor): Tensor {
  const table = (values: readonly number[]) => constant(Float32Array.from(values), [values.length]);
  const latents = add(mul(z, table(config.latentsStd)), table(config.latentsMean));
  let h = causalConv(passage, 'decoder.conv1', pointConv(passage, 'conv2', latents));
  passage.observe?.('decoder.conv1', h);
  h = middle(passage, 'decoder.middle', h);
  passage.observe?.('decoder.middle', h);
  for (const each of decoderBlocks(config)) {
    const through = level(passage, each, h);
    const around = config.shortcuts && each.resizes;
    h = around ? add(through, repeatUp(each, h, passage.caches === undefined)) : through;
  }
  const out = unpatchify(head(passage, 'decoder.head', h), config.patch);
  passage.observe?.('decoder.head', out);
  return minimum(maximum(out, -1), 1);
}

/** Frames of each stretch of a clip: one, then fours. What is left over is not encoded. */
export function sampleStretches(config: WanVaeConfig, frames: number): number[] {
  const ratio = wanTemporalRatio(config);
  return [1, ...new Array(Math.floor((frames - 1) / ratio)).fill(ratio)];
}

/** One latent frame at a time. */
export const latentStretches = (frames: number): number[] => new Array(frames).fill(1);
