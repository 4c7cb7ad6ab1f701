/** A hand as our head reads it, if it is of one side: in the picture, and in the camera's axes. */
import { type HandSide, type Intrinsics, rotations } from '@dwm/renderer';
import { pictureOf } from '../tracker/own-points.ts';
import type { Point2, SeenHand } from '../tracker/types.ts';

const { compose, direction, fromAxisAngle, rotate, swing } = rotations;

/** @param size of the hand, by the default one's. */
export function ownView(seen: SeenHand, side: HandSide, camera: Intrinsics, size: number): SeenHand {
  if (!seen.own) return seen;
  const { region, reading } = seen.own;
  const { space } = reading[side];
  const toCamera = turnOfRay([region.x, region.y], region.angle, camera);
  const world = new Float64Array(63);
  for (let i = 0; i < 21; i++)
    world.set(
      rotate(toCamera, [size * space[3 * i], size * space[3 * i + 1], size * space[3 * i + 2]]),
      3 * i,
    );
  return { ...seen, points: pictureOf(seen.own, side), world };
}

/** From the axes of a square, turned by `angle` and its z along the ray of a point, to the camera's, OpenCV's both. */
export function turnOfRay([u, v]: Point2, angle: number, { fx, fy, cx, cy }: Intrinsics) {
  const ray = direction([(u - cx) / fx, (v - cy) / fy, 1])!;
  return compose(swing([0, 0, 1], ray, [1, 0, 0]), fromAxisAngle([0, 0, angle]));
}
