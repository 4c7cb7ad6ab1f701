import type { Video } from '../video/video.ts';
/**
 * Temporal flicker: how much what should stand still changes from frame to frame. The camera may move, so a pixel is
 * followed by its difference from the static video, which has the same camera: the mean absolute change of that
 * difference over pixels that are unchanged in both frames, in 8-bit steps. 0 for a copy of the static video.
 */

/**
 * @param region [frames, height, width], 1 where something happens.
 * @returns the clip's mean and each step's, undefined where a step has no unchanged pixels.
 */
export function temporalFlicker(
  prediction: Video,
  staticClip: Video,
  region: Uint8Array,
): { mean: number | undefined; steps: (number | undefined)[] } {
  const pixels = staticClip.height * staticClip.width;
  const residual = (i: number) => prediction.data[i] - staticClip.data[i];
  let total = 0;
  let counted = 0;
  const steps = Array.from({ length: Math.max(0, staticClip.frames - 1) }, (_, f) => {
    let sum = 0;
    let count = 0;
    for (let p = f * pixels; p < (f + 1) * pixels; p++) {
      if (region[p] === 1 || region[p + pixels] === 1) continue;
      count += 3;
      for (let i = 3 * p; i < 3 * p + 3; i++) sum += Math.abs(residual(i + 3 * pixels) - residual(i));
    }
    total += sum;
    counted += count;
    return count > 0 ? sum / count : undefined;
  });
  return { mean: counted > 0 ? total / counted : undefined, steps };
}
