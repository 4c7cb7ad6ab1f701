/**
 * MediaPipe's hand landmarks, as a JSON of the results of its HandLandmarker, one a frame:
 *
 *   { "fps": 30, "w": 1280, "h": 720, "fl_x": 900, "frames": [ { "landmarks": [...], "worldLandmarks": [...], "handedness": [...] } ] }
 *
 * Every result lists its hands: 21 points in the image (x and y from 0 to 1), the same in metres about the hand's own centre (OpenCV axes),
 * and which hand it is. The metric points say the hand's shape; where it is follows from where the image shows it: the
 * translation that projects them best is linear in its three unknowns. Inverse kinematics does the rest.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { fromFieldOfView, type Intrinsics } from '../camera/intrinsics.ts';
import { cameraToWorld } from '../camera/pose.ts';
import type { Vec3 } from '../camera/rotation.ts';
import type { HandSide } from '../mano/pose.ts';
import { Field, type TextFile } from './fields.ts';
import { landmarksToJoints } from './hand-ik.ts';
import {
  DEFAULT_FPS,
  type HandPose,
  type ImportDefaults,
  type Trajectory,
  type TrajectoryFrame,
} from './types.ts';

export interface MediapipeOptions extends Pick<ImportDefaults, 'fps'> {
  /** The hands at rest, [25, 7] in WebXR's order: whose bone lengths the result has. */
  readonly rest: Readonly<Record<HandSide, ArrayLike<number>>>;
  /** MediaPipe names hands as in a mirrored selfie in some versions; true takes "Left" for the right hand. */
  readonly swapHands?: boolean;
}

/** Without a focal length in the file: a common phone or webcam, 60 degrees across. */
const DEFAULT_FIELD_OF_VIEW = Math.PI / 3;

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

/**
 * The hands in front of a camera that stays at the origin. Of several hands of one side in a frame the first is taken.
 * @throws InvalidFileError naming the field and what was expected.
 */
export function importMediapipe(file: TextFile, options: MediapipeOptions): Trajectory {
  const root = Field.parse(file);
  const fps = root.get('fps').absent ? (options.fps ?? DEFAULT_FPS) : root.get('fps').positive();
  const [width, height] = [root.get('w').size(), root.get('h').size()];
  const focal = (key: string, fallback: number) =>
    root.get(key).absent ? fallback : root.get(key).positive();
  const centre = (key: string, fallback: number) =>
    root.get(key).absent ? fallback : root.get(key).number();
  const fx = focal('fl_x', fromFieldOfView(width, height, DEFAULT_FIELD_OF_VIEW).fx);
  const intrinsics: Intrinsics = {
    fx,
    fy: focal('fl_y', fx),
    cx: centre('cx', width / 2),
    cy: centre('cy', height / 2),
    width,
    height,
  };
  const camera = cameraToWorld('opengl', IDENTITY);
  const results = root.get('frames').items();
  if (results.length === 0) throw root.get('frames').error('at least one frame');
  const frames = results.map((result, i): TrajectoryFrame => {
    const hands: Record<HandSide, HandPose | null> = { left: null, right: null };
    if (!result.absent) {
      const shapes = result.get('worldLandmarks').items();
      const images = result.get('landmarks').items(shapes.length, 'hands, as in worldLandmarks');
      const names = result.get(result.get('handedness').absent ? 'handednesses' : 'handedness');
      const sides = names
        .items(shapes.length, 'hands, as in worldLandmarks')
        .map((name) => readSide(name, options));
      sides.forEach((side, hand) => {
        hands[side] ??= { joints: handJoints(shapes[hand], images[hand], intrinsics, options.rest[side]) };
      });
    }
    return { seconds: i / fps, intrinsics, camera, hands };
  });
  return { fps, frames };
}

/** A list of categories, the likeliest first. */
function readSide(field: Field, { swapHands }: MediapipeOptions): HandSide {
  const name = field.items()[0]?.get('categoryName') ?? field;
  const side = String(name.value).toLowerCase();
  if (side !== 'left' && side !== 'right') throw name.error('"Left" or "Right"');
  return swapHands ? (side === 'left' ? 'right' : 'left') : side;
}

function handJoints(shape: Field, image: Field, camera: Intrinsics, rest: ArrayLike<number>): Float64Array {
  const points = shape.items(21, 'landmarks').map((point) => point.point());
  const pixels = image
    .items(21, 'landmarks')
    .map(
      (point) => [point.get('x').number() * camera.width, point.get('y').number() * camera.height] as const,
    );
  const offset = place(points, pixels, camera);
  if (!offset || !(offset[2] > 0)) throw image.error('landmarks of a hand in front of the camera');
  const landmarks = points.flatMap(([x, y, z]) => [x + offset[0], -(y + offset[1]), -(z + offset[2])]);
  try {
    return landmarksToJoints(landmarks, rest);
  } catch (error) {
    throw error instanceof InvalidArgumentError
      ? shape.error(`21 points of a hand (${error.message})`)
      : error;
  }
}

/**
 * The translation T for which the points, in OpenCV axes, project nearest to the pixels: fx (X + Tx) = (u - cx) (Z + Tz)
 * and the same for y, solved by least squares. @returns undefined where the points do not decide it.
 */
function place(points: readonly Vec3[], pixels: readonly (readonly [number, number])[], camera: Intrinsics) {
  const { fx, fy, cx, cy } = camera;
  // Normal equations [A | b] of rows (1, 0, -a) T = a Z - X and (0, 1, -b) T = b Z - Y.
  const [n, sums] = [points.length, { a: 0, b: 0, square: 0, x: 0, y: 0, z: 0 }];
  points.forEach(([x, y, z], i) => {
    const [a, b] = [(pixels[i][0] - cx) / fx, (pixels[i][1] - cy) / fy];
    const [right, down] = [a * z - x, b * z - y];
    sums.a += a;
    sums.b += b;
    sums.square += a * a + b * b;
    sums.x += right;
    sums.y += down;
    sums.z += a * right + b * down;
  });
  // Tx and Ty eliminated.
  const spread = sums.square - (sums.a ** 2 + sums.b ** 2) / n;
  if (!(spread > 1e-12)) return undefined;
  const z = ((sums.a * sums.x + sums.b * sums.y) / n - sums.z) / spread;
  return [(sums.x + sums.a * z) / n, (sums.y + sums.b * z) / n, z] as const;
}
