/**
 * Headset trajectories in csv: Aria's closed loop (MPS) and HOT3D's. Both give the pose of the device, not of a
 * camera; a camera sits on the device at fixed extrinsics. Columns are found by name, and times are whole numbers that a
 * double cannot hold, so they are subtracted as integers.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { Intrinsics } from '../camera/intrinsics.ts';
import { frameTimes, samplePath, type TimedPose } from '../camera/path.ts';
import { cameraToWorld, multiply, type Pose, rigidMatrix, withAxes } from '../camera/pose.ts';
import { unit } from '../camera/rotation.ts';
import type { TextFile } from '../trajectory/fields.ts';
import { meanFps, NO_HANDS, type Trajectory } from '../trajectory/types.ts';

/** Where a device was over time, device to world. */
export interface DevicePath {
  /** Time of the first pose, nanoseconds on the device's clock. */
  readonly firstNanoseconds: bigint;
  /** Seconds since then. */
  readonly poses: readonly TimedPose[];
}

/** A camera on the device. */
export interface DeviceCamera {
  readonly intrinsics: Intrinsics;
  /** Camera to device; Aria's cameras have OpenCV axes. */
  readonly deviceFromCamera: Pose<'opencv'>;
}

interface Columns {
  readonly time: string;
  readonly nanoseconds: bigint;
  readonly position: readonly string[];
  /** x y z w. */
  readonly rotation: readonly string[];
}

const ARIA: Columns = {
  time: 'tracking_timestamp_us',
  nanoseconds: 1000n,
  position: ['tx_world_device', 'ty_world_device', 'tz_world_device'],
  rotation: ['qx_world_device', 'qy_world_device', 'qz_world_device', 'qw_world_device'],
};

const HOT3D: Columns = {
  time: 'timestamp[ns]',
  nanoseconds: 1n,
  position: ['t_wo_x[m]', 't_wo_y[m]', 't_wo_z[m]'],
  rotation: ['q_wo_x', 'q_wo_y', 'q_wo_z', 'q_wo_w'],
};

/**
 * Aria's `closed_loop_trajectory.csv`.
 * @throws InvalidFileError naming the row and the column.
 */
export const readAriaPath = (file: TextFile): DevicePath => readDevicePath(file, ARIA);

/**
 * HOT3D's `headset_trajectory.csv`.
 * @throws InvalidFileError naming the row and the column.
 */
export const readHot3dPath = (file: TextFile): DevicePath => readDevicePath(file, HOT3D);

function readDevicePath({ name, text }: TextFile, columns: Columns): DevicePath {
  const [header, ...rows] = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const names = header.split(',').map((column) => column.trim());
  const indexOf = (column: string) => {
    const index = names.indexOf(column);
    if (index < 0) throw new InvalidFileError(name, `has no column ${column}`, { field: column });
    return index;
  };
  const timeAt = indexOf(columns.time);
  const [position, rotation] = [columns.position.map(indexOf), columns.rotation.map(indexOf)];
  let first: bigint | undefined;
  const poses: TimedPose[] = [];
  rows.forEach((row, i) => {
    if (row.trim() === '') return;
    const cells = row.split(',');
    const bad = (column: number, expected: string) =>
      new InvalidFileError(
        name,
        `line ${i + 2}, ${names[column]}: ${JSON.stringify((cells[column] ?? '').slice(0, 40))}, expected ${expected}`,
        { field: names[column], line: i + 2 },
      );
    const number = (column: number) => {
      const cell = cells[column]?.trim();
      if (!cell || !Number.isFinite(Number(cell))) throw bad(column, 'a finite number');
      return Number(cell);
    };
    if (!/^\s*-?\d{1,19}\s*$/.test(cells[timeAt] ?? '')) throw bad(timeAt, 'a whole number');
    const time = BigInt(cells[timeAt].trim()) * columns.nanoseconds;
    first ??= time;
    const seconds = Number(time - first) / 1e9;
    if (poses.length > 0 && !(seconds > poses.at(-1)!.seconds)) throw bad(timeAt, 'increasing times');
    const [x, y, z] = position.map(number);
    const [qx, qy, qz, qw] = rotation.map(number);
    const turned = unit([qx, qy, qz, qw]);
    if (!turned) throw bad(rotation[0], 'a quaternion of length 1');
    poses.push({ seconds, position: [x, y, z], rotation: turned });
  });
  if (first === undefined) throw new InvalidFileError(name, 'holds no poses, expected at least one row');
  return { firstNanoseconds: first, poses };
}

/** The pose of a camera on a device at `pose`, in OpenGL axes. */
export function cameraOnDevice(pose: TimedPose, { deviceFromCamera }: DeviceCamera): Pose<'opengl'> {
  const device = rigidMatrix(pose.position, pose.rotation);
  return withAxes(cameraToWorld('opencv', multiply(device, deviceFromCamera.matrix)), 'opengl');
}

/**
 * The path as a trajectory of one of the device's cameras. With `fps` it is resampled from the first pose on, as it
 * must be before the extrinsics are applied: a camera off the device's centre moves on arcs between the poses.
 */
export function deviceTrajectory(path: DevicePath, camera: DeviceCamera, fps?: number): Trajectory {
  const { poses } = path;
  const sampled = fps === undefined ? poses : samplePath(poses, frameTimes(0, poses.at(-1)!.seconds, fps));
  return {
    fps: fps ?? meanFps(poses.map(({ seconds }) => seconds)),
    frames: sampled.map((pose) => ({
      seconds: pose.seconds,
      intrinsics: camera.intrinsics,
      camera: cameraOnDevice(pose, camera),
      hands: NO_HANDS,
    })),
  };
}
