/** Motions fitted to a run, and the one that a room without any begins with. */
import { clipTrajectory, fromFieldOfView, type Trajectory } from '@dwm/renderer';
import type { Bounds } from '@dwm/renderer/scene';
import type { CameraRig } from '../scene-editor/camera-rig.ts';
import { handBefore } from '../scene-editor/hand-rig.ts';
import { presetTrajectory } from '../scene-editor/presets.ts';
import type { RoomInfo, Settings } from '../worker/protocol.ts';

const FIELD_OF_VIEW = (75 * Math.PI) / 180;
const EYE_HEIGHT = 1.5;

const lensOf = ({ width, height }: Pick<Settings, 'width' | 'height'>) =>
  fromFieldOfView(width, height, FIELD_OF_VIEW);

/** The first frames of a motion, at the run's rate and picture size; a short one stays in its last frame. One
 * that fits is given back itself. */
export function fitted(trajectory: Trajectory, { frames, fps, width, height }: Settings): Trajectory {
  const fits =
    trajectory.fps === fps &&
    trajectory.frames.length === frames &&
    trajectory.frames.every(
      (frame) => frame.intrinsics.width === width && frame.intrinsics.height === height,
    );
  if (fits) return trajectory;
  const last = trajectory.frames.at(-1)!;
  const missing = Math.ceil(((frames + 1) * trajectory.fps) / fps) - trajectory.frames.length;
  const more = Array.from({ length: Math.max(0, missing) }, (_, i) => ({
    ...last,
    seconds: last.seconds + (i + 1) / trajectory.fps,
  }));
  const long = { fps: trajectory.fps, frames: [...trajectory.frames, ...more] };
  return clipTrajectory(long, { frames, fps, width, height });
}

/** Inside what is as large as a room; before what is smaller. */
function cameraFor({ min, max }: Bounds): CameraRig {
  const middle = [0, 1, 2].map((axis) => (min[axis] + max[axis]) / 2);
  const [width, , depth] = max.map((value, axis) => value - min[axis]);
  if (width > 2.2 && depth > 2.2) {
    return {
      position: [middle[0], Math.min(min[1] + EYE_HEIGHT, max[1] - 0.2), middle[2] + depth / 4],
      yaw: 0,
      pitch: -0.3,
    };
  }
  const away = Math.max(0.5, Math.hypot(width, max[1] - min[1], depth));
  return { position: [middle[0], middle[1] + away / 3, max[2] + away * 0.8], yaw: 0, pitch: -0.3 };
}

export function startingTrajectory({ trajectory, bounds }: RoomInfo, settings: Settings): Trajectory {
  if (trajectory) return trajectory;
  const camera = bounds ? cameraFor(bounds) : { position: [0, EYE_HEIGHT, 0] as const, yaw: 0, pitch: -0.3 };
  return presetTrajectory('pull', handBefore(camera, 'right'), camera, lensOf(settings), settings);
}
