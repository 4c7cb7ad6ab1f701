/**
 * Hands and camera as LeRobot's numbers: `observation.state`, `action` (the state of the next frame) and
 * `observation.camera`. What each number is, `info.json` names, and by those names they are found again.
 */
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import {
  type HandPose,
  type Hands,
  placedCamera,
  placement,
  SIDES,
  type Trajectory,
  type TrajectoryFrame,
  WEBXR_JOINTS,
} from '@dwm/renderer';
import type { Episode, LerobotDataset } from './dataset.ts';

const STATE = 'observation.state';
const CAMERA = 'observation.camera';
const ACTION = 'action';

/** A place in metres, and a rotation. */
const POSE = ['x', 'y', 'z', 'qx', 'qy', 'qz', 'qw'];

/** A hand that is not there has zeros, and `seen` of 0. */
const STATE_NAMES = SIDES.flatMap((side) => [
  `${side}.seen`,
  ...WEBXR_JOINTS.flatMap((joint) => POSE.map((part) => `${side}.${joint}.${part}`)),
]);
/** Camera to world, OpenGL's axes; the rest in pixels. */
const CAMERA_NAMES = [...POSE, 'fx', 'fy', 'cx', 'cy', 'width', 'height'];
const PER_HAND = 1 + WEBXR_JOINTS.length * POSE.length;

/** The features of a clip with a trajectory: names of their numbers, and the numbers of each frame. */
interface HandFeature {
  readonly key: string;
  readonly names: readonly string[];
  readonly values: readonly (readonly number[])[];
}

/** @param file what errors call the trajectory. @throws InvalidFileError for hands without joints. */
export function handFeatures({ frames }: Trajectory, file: string): HandFeature[] {
  const states = frames.map(({ hands }, i) =>
    SIDES.flatMap((side) => {
      const hand = hands[side];
      if (!hand) return Array<number>(PER_HAND).fill(0);
      if (hand.joints) return [1, ...hand.joints];
      throw new InvalidFileError(
        file,
        `frames[${i}].hands.${side} has MANO parameters alone; import it again with --mano, which adds joints`,
      );
    }),
  );
  const cameras = frames.map(({ camera, intrinsics: { fx, fy, cx, cy, width, height } }) => {
    const { position, rotation } = placement(camera);
    return [...position, ...rotation, fx, fy, cx, cy, width, height];
  });
  return [
    { key: STATE, names: STATE_NAMES, values: states },
    { key: ACTION, names: STATE_NAMES, values: states.map((state, i) => states[i + 1] ?? state) },
    { key: CAMERA, names: CAMERA_NAMES, values: cameras },
  ];
}

const same = (a: readonly string[] | undefined, b: readonly string[]) =>
  a?.length === b.length && b.every((name, i) => a[i] === name);

/** Whether the data set has hands as `handFeatures` writes them. */
export const hasHands = (data: LerobotDataset): boolean =>
  same(data.namesOf(STATE), STATE_NAMES) && same(data.namesOf(CAMERA), CAMERA_NAMES);

/** @throws InvalidArgumentError where the data set has no hands; InvalidFileError for numbers that are none. */
export async function episodeTrajectory(data: LerobotDataset, episode: Episode): Promise<Trajectory> {
  if (!hasHands(data))
    throw new InvalidArgumentError(
      'FILE',
      `${data.folder} has no joints of hands in ${STATE}; dwm prepare --from finds hands in its video`,
    );
  const rows = await episode.rows(['timestamp', STATE, CAMERA]);
  const frames = rows.map((row, i): TrajectoryFrame => {
    const bad = (key: string, expected: string) =>
      new InvalidFileError(data.folder, `episode ${episode.index}, frame ${i}: ${key}: expected ${expected}`);
    const numbers = (key: string, size: number): number[] => {
      const value = row[key];
      const list = Array.isArray(value) ? value : [value];
      if (list.length === size && list.every(Number.isFinite)) return list;
      throw bad(key, `${size} finite numbers`);
    };
    const checkTurn = (key: string, quaternion: readonly number[]) => {
      if (Math.abs(Math.hypot(...quaternion) - 1) > 1e-3) throw bad(key, 'quaternions of length 1');
    };
    const state = numbers(STATE, 2 * PER_HAND);
    const hand = (side: number): HandPose | null => {
      const [seen, ...joints] = state.slice(side * PER_HAND, (side + 1) * PER_HAND);
      if (!(seen > 0.5)) return null;
      for (let at = 0; at < joints.length; at += 7) checkTurn(STATE, joints.slice(at + 3, at + 7));
      return { joints: Float64Array.from(joints) };
    };
    const [x, y, z, qx, qy, qz, qw, fx, fy, cx, cy, width, height] = numbers(CAMERA, CAMERA_NAMES.length);
    const isSize = (pixels: number) => Number.isInteger(pixels) && pixels >= 1 && pixels <= 65536;
    checkTurn(CAMERA, [qx, qy, qz, qw]);
    if (!(fx > 0 && fy > 0 && isSize(width) && isSize(height)))
      throw bad(CAMERA, 'focal lengths and a size in pixels');
    const hands: Hands = { left: hand(0), right: hand(1) };
    return {
      seconds: numbers('timestamp', 1)[0],
      intrinsics: { fx, fy, cx, cy, width, height },
      camera: placedCamera('opengl', [x, y, z], [qx, qy, qz, qw]),
      hands,
    };
  });
  return { fps: data.fps, frames };
}
