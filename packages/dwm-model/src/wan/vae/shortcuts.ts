/** Wan 2.2's ways around a level, without weights: means of blocks on the way down, copies on the way up. */
import { broadcastTo, mean, pad, permute, reshape, slice, type Tensor } from '@dwm/core-tensor';
import type { Level } from './structure.ts';

/**
 * Blocks of 2 x 2 pixels and, with `inTime`, 2 frames go into the channels (channel, frame, row, column), of which
 * neighbours are averaged until `to` are left. An odd number of frames begins with a frame of zeros.
 */
export function averageDown({ to, resizes, inTime }: Level, x: Tensor): Tensor {
  const [time, space] = [inTime ? 2 : 1, resizes ? 2 : 1];
  const padded = pad(x, 1, x.shape[1] % time, 0);
  const [batch, frames, height, width, channels] = padded.shape;
  const [f, h, w] = [frames / time, height / space, width / space];
  if (time * space === 1 && channels === to) return x;
  const blocks = reshape(padded, [batch, f, time, h, space, w, space, channels]);
  const grouped = permute(blocks, [0, 1, 3, 5, 7, 2, 4, 6]);
  const gathered = channels * time * space ** 2;
  return mean(reshape(grouped, [batch, f, h, w, to, gathered / to]), [5]);
}

/** The other way: each channel goes to the places of a block, in the same order. The first frame of a clip stays one. */
export function repeatUp({ to, inTime }: Level, x: Tensor, isFirst: boolean): Tensor {
  const time = inTime ? 2 : 1;
  const [batch, frames, height, width, channels] = x.shape;
  const copies = (to * time * 4) / channels;
  const repeated = broadcastTo(reshape(x, [batch, frames, height, width, channels, 1]), [
    ...[batch, frames, height, width, channels],
    copies,
  ]);
  const apart = reshape(repeated, [batch, frames, height, width, to, time, 2, 2]);
  const placed = reshape(permute(apart, [0, 1, 5, 2, 6, 3, 7, 4]), [
    ...[batch, frames * time, 2 * height, 2 * width, to],
  ]);
  return isFirst && time === 2 ? slice(placed, 1, 1, placed.shape[1] - 1) : placed;
}

/** Squares of pixels into channels (channel, column, row). */
export function patchify(x: Tensor, patch: number): Tensor {
  if (patch === 1) return x;
  const [batch, frames, height, width, channels] = x.shape;
  const apart = reshape(x, [batch, frames, height / patch, patch, width / patch, patch, channels]);
  return reshape(permute(apart, [0, 1, 2, 4, 6, 5, 3]), [
    ...[batch, frames, height / patch, width / patch],
    channels * patch ** 2,
  ]);
}

/** Channels (channel, column, row) into squares of pixels. */
export function unpatchify(x: Tensor, patch: number): Tensor {
  if (patch === 1) return x;
  const [batch, frames, height, width, all] = x.shape;
  const channels = all / patch ** 2;
  const apart = reshape(x, [batch, frames, height, width, channels, patch, patch]);
  return reshape(permute(apart, [0, 1, 2, 6, 3, 5, 4]), [
    ...[batch, frames, height * patch, width * patch],
    channels,
  ]);
}
