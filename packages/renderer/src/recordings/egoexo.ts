/**
 * Hands of a take of Ego-Exo4D (arXiv 2311.18259), two files of its `ego_pose`:
 *
 *   hand/annotation/TAKE.json
 *     { "FRAME": [ { "annotation3D": { "right_index_2": { x, y, z, num_views_for_3d }, … } } ], … }
 *   camera_pose/TAKE.json
 *     { "aria01": { "camera_intrinsics": 3x3, "camera_extrinsics": { "FRAME": 3x4, … } }, … }
 *
 * Points are in metres in one world; extrinsics take it to the camera's OpenCV axes; frames count 30 a second. The
 * camera is that of the pictures that the data set's own tools undistort. It lies on its side on the head, and is
 * turned upright here, as those tools turn the pictures. Bone lengths are the default hand's, directions the
 * recording's.
 */
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { cameraToWorld, inverted, withAxes, worldToCamera } from '../camera/index.ts';
import type { HandSide } from '../mano/pose.ts';
import { Field, type TextFile } from '../trajectory/fields.ts';
import { type HandPose, SIDES, type Trajectory, type TrajectoryFrame } from '../trajectory/types.ts';
import { landmarksToJoints } from './hand-ik.ts';
import { upright } from './upright.ts';

const FPS = 30;

/** A point that fewer cameras saw is left out, as the data set's own tools do. */
const FEWEST_VIEWS = 3;

/** Names of 21 points without their side, in the order of MediaPipe's landmarks. */
const POINTS = [
  'wrist',
  ...['thumb', 'index', 'middle', 'ring', 'pinky'].flatMap((finger) =>
    [1, 2, 3, 4].map((joint) => `${finger}_${joint}`),
  ),
];

/**
 * The frames that have a camera, in order; a hand is there where all of its points are.
 * @param rest the hands whose bone lengths the result has, [25, 7] in WebXR's order.
 * @throws InvalidFileError naming the field and what was expected.
 */
export function importEgoexo(
  annotation: TextFile,
  cameraPose: TextFile,
  rest: Readonly<Record<HandSide, ArrayLike<number>>>,
): Trajectory {
  const root = Field.parse(annotation);
  const { intrinsics, extrinsics } = readCamera(cameraPose);
  const numbers = frameNumbers(root).filter((number) => !extrinsics.get(String(number)).absent);
  if (numbers.length === 0)
    throw new InvalidFileError(
      cameraPose.name,
      `has no camera for any frame of ${annotation.name}, expected the two files of one take`,
    );
  const frames = numbers.map((number): TrajectoryFrame => {
    const matrix = worldFromCamera(extrinsics.get(String(number)));
    const camera = withAxes(cameraToWorld('opencv', upright(matrix)), 'opengl');
    const people = root.get(String(number)).items();
    const points = people.length > 0 ? people[0].get('annotation3D') : undefined;
    const [left, right] = SIDES.map((side) =>
      points && !points.absent ? readHand(points, side, rest[side]) : null,
    );
    return { seconds: (number - numbers[0]) / FPS, intrinsics, camera, hands: { left, right } };
  });
  const seconds = frames[frames.length - 1].seconds;
  return { fps: seconds > 0 ? (frames.length - 1) / seconds : FPS, frames };
}

/** Whether a JSON is a take's hands, or its cameras; for telling formats apart. */
export function egoexoKind(root: unknown): 'egoexo-hands' | 'egoexo-camera' | undefined {
  if (typeof root !== 'object' || root === null) return undefined;
  const has = (value: unknown, key: string) =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, key);
  for (const value of Object.values(root)) {
    if (has(value, 'camera_extrinsics')) return 'egoexo-camera';
    if (Array.isArray(value) && has(value[0], 'annotation3D')) return 'egoexo-hands';
  }
  return undefined;
}

function frameNumbers(root: Field): number[] {
  const keys = Object.keys(root.object());
  const wrong = keys.find((key) => !/^\d{1,9}$/.test(key));
  if (wrong !== undefined) throw root.get(wrong).error('a frame number as the name');
  return keys.map(Number).sort((a, b) => a - b);
}

/** The camera on the head; the others, on stands, have one pose for all frames. */
function readCamera(file: TextFile) {
  const root = Field.parse(file);
  const name = Object.keys(root.object()).find((key) => /^aria/i.test(key));
  if (name === undefined) throw root.error('a camera "aria…"');
  const camera = root.get(name);
  const rows = camera
    .get('camera_intrinsics')
    .items(3, 'rows')
    .map((row) => row.numbers(3));
  const [[fx, , cx], [, fy, cy]] = rows;
  if (!(fx > 0 && fy > 0 && cx > 0 && cy > 0))
    throw camera.get('camera_intrinsics').error('focal lengths and a middle above zero');
  const extrinsics = camera.get('camera_extrinsics');
  extrinsics.object();
  // The middle of the first pixel is 0 there; half a pixel further on, and twice as far the picture ends.
  const [width, height] = [Math.round(2 * cy + 1), Math.round(2 * cx + 1)];
  if (width > 65536 || height > 65536)
    throw camera.get('camera_intrinsics').error('a picture of at most 65536 pixels across');
  const intrinsics = { fx: fy, fy: fx, cx: width - (cy + 0.5), cy: cx + 0.5, width, height };
  return { intrinsics, extrinsics };
}

function worldFromCamera(field: Field): Float64Array {
  const rows = field.items(3, 'rows').flatMap((row) => [...row.numbers(4)]);
  const { matrix } = inverted(worldToCamera('opencv', [...rows, 0, 0, 0, 1]));
  if (!matrix.every(Number.isFinite)) throw field.error('the rotation and translation of a camera');
  return matrix;
}

function readHand(points: Field, side: HandSide, rest: ArrayLike<number>): HandPose | null {
  const landmarks: number[] = [];
  for (const name of POINTS) {
    const point = points.get(`${side}_${name}`);
    if (point.absent) return null;
    if (point.get('num_views_for_3d').number() < FEWEST_VIEWS) return null;
    landmarks.push(...point.point());
  }
  try {
    return { joints: landmarksToJoints(landmarks, rest) };
  } catch (error) {
    throw error instanceof InvalidArgumentError
      ? points.get(`${side}_wrist`).error(`21 points of a hand (${error.message})`)
      : error;
  }
}
