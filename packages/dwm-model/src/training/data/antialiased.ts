/**
 * torchvision's `resize` of pictures: bilinear, with the kernel widened where the picture shrinks, so that no pixel is
 * passed over (PyTorch's `interpolate` with `antialias=True`). Columns come before rows.
 */
import { axisTaps, resampleAxis } from '../../video/resample.ts';
import type { VideoSize } from '../../video/video.ts';

const triangle = (distance: number): number => Math.max(0, 1 - Math.abs(distance));

/**
 * @param data [frames, height, width, 3] of `size`.
 * @returns the same at another height and width.
 */
export function resizeAntialiased(
  data: ArrayLike<number>,
  { height, width }: VideoSize,
  to: Pick<VideoSize, 'height' | 'width'>,
): ArrayLike<number> {
  const along = (values: ArrayLike<number>, length: number, inner: number, target: number) => {
    const out = new Float32Array((values.length / length) * target);
    return resampleAxis(values, length, inner, axisTaps(length, target, 1, triangle), out);
  };
  const columns = width === to.width ? data : along(data, width, 3, to.width);
  return height === to.height ? columns : along(columns, height, 3 * to.width, to.height);
}
