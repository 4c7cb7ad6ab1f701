/** Where a goal differs from the scene is where a hand has to do something: targets that are seen there. */
import type { Video } from '@dwm/dwm-model';
import { frameOf } from '@dwm/dwm-model/metrics';
import { goalRegion } from '@dwm/dwm-model/ranking';
import { rotations, type Trajectory, type Vec3 } from '@dwm/renderer';
import { projected } from '@dwm/synth';
import type { Target } from './hand-path.ts';

/** The pixel that shows a point of the world in a frame; undefined outside the picture. */
function pixelOf({ camera, intrinsics }: Trajectory['frames'][number], point: Vec3): number | undefined {
  const { width, height } = intrinsics;
  const [u, v] = projected(camera, intrinsics, point) ?? [-1, -1];
  const seen = u >= 0 && u < 1 && v >= 0 && v < 1;
  return seen ? Math.floor(v * height) * width + Math.floor(u * width) : undefined;
}

/** @returns the targets in the changed region, or all where none is in it. */
export function targetsNearChange(
  targets: readonly Target[],
  { frames }: Trajectory,
  staticVideo: Video,
  goal: Video,
): readonly Target[] {
  const last = frames.length - 1;
  const region = goalRegion(frameOf(goal, goal.frames - 1), frameOf(staticVideo, last));
  const near = targets.filter(({ grip, place }) => {
    const point = rotations.add(place.position, rotations.rotate(place.rotation, grip.point));
    const pixel = pixelOf(frames[last], point);
    return pixel !== undefined && region[pixel] === 1;
  });
  return near.length > 0 ? near : targets;
}
