/** Where a goal differs from the scene is where a hand has to do something: targets that are seen there. */
import { frameOf, goalRegion, type MetricClip } from '@dwm/dwm-model';
import { rotations, type Trajectory, type Vec3 } from '@dwm/renderer';
import type { Target } from './hand-path.ts';

/** The pixel that shows a point of the world in a frame; undefined outside the picture. */
function pixelOf({ camera, intrinsics }: Trajectory['frames'][number], point: Vec3): number | undefined {
  const { matrix: m } = camera;
  const d = rotations.subtract(point, [m[3], m[7], m[11]]);
  const [x, y, z] = [0, 1, 2].map((axis) => m[axis] * d[0] + m[4 + axis] * d[1] + m[8 + axis] * d[2]);
  if (z >= 0) return undefined;
  const { fx, fy, cx, cy, width, height } = intrinsics;
  const [column, row] = [Math.floor(cx - (fx * x) / z), Math.floor(cy + (fy * y) / z)];
  const seen = column >= 0 && column < width && row >= 0 && row < height;
  return seen ? row * width + column : undefined;
}

/** @returns the targets in the changed region, or all where none is in it. */
export function targetsNearChange(
  targets: readonly Target[],
  { frames }: Trajectory,
  staticVideo: MetricClip,
  goal: MetricClip,
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
