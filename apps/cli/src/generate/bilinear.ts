/** Pictures resized between the four pixels around, also where they shrink. */
import { axisSamples } from '@dwm/core-tensor';
import type { RgbImage } from '@dwm/media/node';

/**
 * @param put is given each value, 0 to 255 and unrounded, with its row and its place [width, 3] in that row.
 */
export function bilinear(
  { data, height: rowsBefore, width: stride }: RgbImage,
  height: number,
  width: number,
  put: (value: number, row: number, at: number) => void,
): void {
  const columns = axisSamples(stride, width, 'linear');
  for (const [y, row] of axisSamples(rowsBefore, height, 'linear').entries()) {
    const [above, below] = [row.low * stride, row.high * stride];
    let at = 0;
    for (const { low, high, lowWeight, highWeight } of columns) {
      for (let c = 0; c < 3; c++) {
        const upper = lowWeight * data[(above + low) * 3 + c] + highWeight * data[(above + high) * 3 + c];
        const lower = lowWeight * data[(below + low) * 3 + c] + highWeight * data[(below + high) * 3 + c];
        put(row.lowWeight * upper + row.highWeight * lower, y, at++);
      }
    }
  }
}
