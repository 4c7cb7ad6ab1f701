/**
 * An episode of EgoDex (`task/N.hdf5`, arXiv 2505.11709): the camera and every joint of both hands at 30 frames a
 * second, as ARKit tracked them. All transforms are to one world (metres, y up); the camera has OpenCV's axes. Bone
 * lengths are the default hand's, directions the recording's.
 */
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { cameraToWorld, withAxes } from '../camera/pose.ts';
import type { HandSide } from '../mano/pose.ts';
import { type HandPose, SIDES, type Trajectory, type TrajectoryFrame } from '../trajectory/types.ts';
import { landmarksToJoints } from './hand-ik.ts';

/** What a file of EgoDex holds, as `readEgodexFile` gives it. */
export interface EgodexEpisode {
  /** What errors call the file. */
  readonly name: string;
  /** `camera/intrinsic`, [3, 3], pixels. */
  readonly intrinsic: ArrayLike<number>;
  /** `transforms/camera`, [frames, 4, 4], camera to world. */
  readonly camera: ArrayLike<number>;
  readonly hands: Readonly<Record<HandSide, EgodexHand>>;
}

/** A hand of an EgoDex episode. */
export interface EgodexHand {
  /** `transforms/…` of each of EGODEX_JOINTS, [frames, 4, 4], joint to world. */
  readonly joints: readonly ArrayLike<number>[];
  /** `confidences/…` of the same, [frames], 0 to 1; without it every frame counts. */
  readonly confidence?: readonly ArrayLike<number>[];
}

const FINGER = ['Knuckle', 'IntermediateBase', 'IntermediateTip', 'Tip'];
const FINGERS = ['Thumb', 'IndexFinger', 'MiddleFinger', 'RingFinger', 'LittleFinger'];

/** Names of 21 joints without their side, in the order of MediaPipe's landmarks: wrist, then four a finger. */
export const EGODEX_JOINTS: readonly string[] = [
  'Hand',
  ...FINGERS.flatMap((finger) => FINGER.map((joint) => finger + joint)),
];

const FPS = 30;
/** A hand is not there in a frame whose joints are less certain than this in the mean. */
const LEAST_CONFIDENCE = 0.5;

/**
 * @param rest the hands at rest, [25, 7] in WebXR's order: whose bone lengths the result has.
 * @throws InvalidFileError naming the field and what was expected.
 */
export function importEgodex(
  { name, intrinsic, camera, hands }: EgodexEpisode,
  rest: Readonly<Record<HandSide, ArrayLike<number>>>,
): Trajectory {
  const bad = (field: string, expected: string) =>
    new InvalidFileError(name, `${field}: expected ${expected}`, { field, expected });
  const [fx, , cx, , fy, cy] = Array.from(intrinsic);
  const [width, height] = [Math.round(2 * cx), Math.round(2 * cy)];
  const isSize = (pixels: number) => pixels >= 1 && pixels <= 65536;
  if (!(fx > 0 && fy > 0 && isSize(width) && isSize(height)))
    throw bad('camera/intrinsic', 'focal lengths and a centre inside the picture, in pixels');
  const intrinsics = { fx, fy, cx, cy, width, height };
  const transform = (values: ArrayLike<number>, frame: number, field: string): number[] => {
    const matrix = Array.from({ length: 16 }, (_, i) => values[16 * frame + i]);
    const isAffine =
      matrix.every(Number.isFinite) && [0, 0, 0, 1].every((value, i) => matrix[12 + i] === value);
    if (!isAffine) throw bad(`${field}[${frame}]`, 'a 4x4 matrix of finite numbers, its last row 0 0 0 1');
    return matrix;
  };
  const hand = (side: HandSide, frame: number): HandPose | null => {
    const { joints, confidence } = hands[side];
    const certainty = confidence?.reduce((sum, joint) => sum + joint[frame], 0);
    if (certainty !== undefined && !(certainty / joints.length >= LEAST_CONFIDENCE)) return null;
    const landmarks = joints.flatMap((values, i) => {
      const matrix = transform(values, frame, `transforms/${side}${EGODEX_JOINTS[i]}`);
      return [matrix[3], matrix[7], matrix[11]];
    });
    try {
      return { joints: landmarksToJoints(landmarks, rest[side]) };
    } catch (error) {
      throw error instanceof InvalidArgumentError
        ? bad(`transforms/${side}Hand[${frame}]`, `21 joints of a hand (${error.message})`)
        : error;
    }
  };
  const frames = Array.from({ length: camera.length / 16 }, (_, i): TrajectoryFrame => {
    const pose = cameraToWorld('opencv', transform(camera, i, 'transforms/camera'));
    const [left, right] = SIDES.map((side) => hand(side, i));
    return { seconds: i / FPS, intrinsics, camera: withAxes(pose, 'opengl'), hands: { left, right } };
  });
  return { fps: FPS, frames };
}
