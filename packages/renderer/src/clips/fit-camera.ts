/**
 * A recorded camera for a picture of another size. There are two ways, and both keep pixels square: scale the picture until it covers
 * the new one and cut off what hangs over, or keep its scale and cut out the middle. The original does the second with
 * headset cameras: 1024x1024 pixels, fx = fy = 300, cut to 720x480 keeps fx = fy = 300, so 2 atan(360 / 300) = 100.4 degrees across where
 * scaling would leave 119. What that means for a picture of any other size is the angle, not the pixels: 96x64 of them would be 18 degrees.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { Intrinsics } from '../camera/intrinsics.ts';

/** `auto`: scale, but where that loses over a quarter of the picture and leaves it wider than the original's, only as much as that is kept. */
export type CameraFit = 'auto' | 'scale' | 'crop';

/** Square pictures to 3:2 lose a third; 16:9, 4:3 and the like a sixth at most. */
const MOST_SCALED_AWAY = 1 / 4;

/** fx by width of what the original makes of a headset's picture: 100.4 degrees across. */
const WIDEST = 300 / 720;

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
  if (fit === 'crop' && !fits) {
    throw new InvalidArgumentError(
      'fit',
      `${width}x${height} cannot be cut out of the trajectory's ${camera.width}x${camera.height}; set \`fit: scale\`, or a smaller \`width\` and \`height\``,
    );
  }
  const narrowed = fit === 'auto' && lost > MOST_SCALED_AWAY ? (WIDEST * width) / camera.fx : 0;
  const s = fit === 'crop' ? 1 : Math.max(scale, narrowed);
  return {
    fx: camera.fx * s,
    fy: camera.fy * s,
    cx: camera.cx * s - (camera.width * s - width) / 2,
    cy: camera.cy * s - (camera.height * s - height) / 2,
    width,
    height,
  };
}
