/** Peak signal-to-noise ratio of values in [-1, 1], in decibels; what leaves the range is cut, as a picture would be. */
export function psnr(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < want.length; i++) {
    const error = (Math.min(1, Math.max(-1, got[i])) - want[i]) / 2;
    total += error * error;
  }
  return -10 * Math.log10(total / want.length);
}
