/** A picture as CLIP takes it: `preprocessor_config.json` and what transformers' `CLIPImageProcessor` does by it. */
import { InvalidFileError } from '@dwm/core-tensor';
import * as z from 'zod';
import type { Video } from '../video/video.ts';
import { readKnown } from './config.ts';
import { resizeBicubic } from './resize.ts';

const count = z.int().positive();
const channels = z.tuple([z.number(), z.number(), z.number()]);
const always = z.literal(true).default(true);

const schema = z.object({
  do_resize: always,
  do_center_crop: always,
  do_rescale: always,
  do_normalize: always,
  /** Pillow's number of bicubic. */
  resample: z.literal(3).default(3),
  rescale_factor: z.number().default(1 / 255),
  size: z.union([count, z.object({ shortest_edge: count }).transform((size) => size.shortest_edge)], {
    error: 'expected a number of pixels, or {"shortest_edge": pixels}',
  }),
  crop_size: z.union([count, z.object({ height: count, width: count })]),
  image_mean: channels,
  image_std: channels,
});

export interface CLIPPreprocessing {
  /** Pixels of the shorter side after resizing. */
  readonly shortestEdge: number;
  /** Pixels of the square that is cut out of the middle. */
  readonly crop: number;
  /** What an 8-bit value is multiplied by, before `mean` is taken off and `std` divided by. */
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/**
 * @param imageSize pixels each way that the network takes.
 * @throws InvalidFileError naming file and field, where something else than CLIP's steps is asked for.
 */
export function readPreprocessing(json: unknown, file: string, imageSize: number): CLIPPreprocessing {
  const config = readKnown(schema, json, file);
  const { crop_size: crop, size } = config;
  const [height, width] = typeof crop === 'number' ? [crop, crop] : [crop.height, crop.width];
  if (height !== imageSize || width !== imageSize) {
    throw new InvalidFileError(
      file,
      `crop_size: ${width}x${height}, but the network takes ${imageSize}x${imageSize} (vision_config.image_size in config.json); do the two files belong together?`,
      { field: 'crop_size', expected: imageSize },
    );
  }
  if (size < imageSize) {
    throw new InvalidFileError(
      file,
      `size: a shortest edge of ${size} pixels leaves less than the crop of ${imageSize}`,
      { field: 'size' },
    );
  }
  return {
    shortestEdge: size,
    crop: imageSize,
    scale: config.rescale_factor,
    mean: config.image_mean,
    std: config.image_std,
  };
}

/** @param frame one frame. @returns [3, crop, crop]. */
export function preprocess(
  frame: Video,
  { shortestEdge, crop, scale, mean, std }: CLIPPreprocessing,
): Float32Array {
  const shorter = Math.min(frame.height, frame.width);
  const [rows, columns] = [frame.height, frame.width].map((side) =>
    Math.floor((shortestEdge * side) / shorter),
  );
  const { data } = resizeBicubic(frame, rows, columns);
  const top = Math.floor((rows - crop) / 2);
  const left = Math.floor((columns - crop) / 2);
  const out = new Float32Array(3 * crop * crop);
  for (let c = 0, o = 0; c < 3; c++)
    for (let y = top; y < top + crop; y++)
      for (let x = left; x < left + crop; x++)
        out[o++] = (data[(y * columns + x) * 3 + c] * scale - mean[c]) / std[c];
  return out;
}
