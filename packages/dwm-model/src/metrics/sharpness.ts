import type { Video } from '../video/video.ts';
/**
 * How sharp a picture is against the truth, which PSNR does not say: a blur is near to everything. Differences of luma
 * between a pixel and the next to the right and below, over pixels that all lie in the region.
 */

/** How sharp a clip is beside the truth. */
export interface Sharpness {
  /** Sum of the gradient's lengths, generated over truth: 1 is as sharp, 0 is flat. */
  readonly gradient: number;
  /** Sum of their squares likewise, in which edges count most. */
  readonly energy: number;
}

/** BT.601, 8-bit. */
const luma = ({ data }: Video, p: number) =>
  0.299 * data[3 * p] + 0.587 * data[3 * p + 1] + 0.114 * data[3 * p + 2];

/** @param region [frames, height, width]; @returns undefined where the truth is flat or the region empty. */
export function sharpness(prediction: Video, truth: Video, region: Uint8Array): Sharpness | undefined {
  const { frames, height, width } = truth;
  const of = (clip: Video) => {
    let [length, energy] = [0, 0];
    for (let f = 0; f < frames; f++)
      for (let y = 0; y + 1 < height; y++)
        for (let x = 0; x + 1 < width; x++) {
          const p = (f * height + y) * width + x;
          if (!region[p] || !region[p + 1] || !region[p + width]) continue;
          const here = luma(clip, p);
          const square = (luma(clip, p + 1) - here) ** 2 + (luma(clip, p + width) - here) ** 2;
          length += Math.sqrt(square);
          energy += square;
        }
    return { length, energy };
  };
  const [made, real] = [of(prediction), of(truth)];
  if (real.energy === 0) return undefined;
  return { gradient: made.length / real.length, energy: made.energy / real.energy };
}
