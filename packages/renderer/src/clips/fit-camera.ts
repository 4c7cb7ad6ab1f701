/**
 * A recorded camera for a picture of another size. There are two ways, and both keep pixels square: scale the
 * picture until it covers the new one and cut off what hangs over, or keep its scale and cut out the middle. The
 * second is what the original does with headset cameras: 1024x1024 pixels, fx = fy = 300, cut to 720x480 keeps
 * fx = fy = 300, so 2 atan(360 / 300) = 100.4 degrees across; scaling would leave 119.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { Intrinsics } from '../camera/intrinsics.ts';

/** `auto`: scale, unless that loses over a quarter of the picture and the middle can be cut out of it. */
export type CameraFit = 'auto' | 'scale' | 'crop';

/** Square pictures to 3:2 lose a third; 16:9, 4:3 and the like a sixth at most. */
const MOST_SCALED_AWAY = 1 / 4;

/**
 * The camera of a picture of `width` x `height` pixels.
 * @throws InvalidArgumentError where the middle is to be cut out of a picture that is smaller.
 */
export function fitCamera(
  camera: Intrinsics,
  width: number,
  height: number,
  fit: CameraFit = 'auto',
): Intrinsics {
  const fits = camera.width >= width && camera.height >= height;
  const scale = Math.max(width / camera.width, height / camera.height);
  const lost = 1 - (width * height) / (camera.width * scale * camera.height * scale);
  const crop = fit === 'crop' || (fit === 'auto' && fits && lost > MOST_SCALED_AWAY);
  if (crop && !fits) {
    throw new InvalidArgumentError(
      'fit',
      `${width}x${height} cannot be cut out of the trajectory's ${camera.width}x${camera.height}; use scale or a smaller size`,
    );
  }
  const s = crop ? 1 : scale;
  return {
    fx: camera.fx * s,
    fy: camera.fy * s,
    cx: camera.cx * s - (camera.width * s - width) / 2,
    cy: camera.cy * s - (camera.height * s - height) / 2,
    width,
    height,
  };
}
