/**
 * MediaPipe's hand landmarks, as a JSON of the results of its HandLandmarker, one a frame:
 *
 *   { "fps": 30, "w": 1280, "h": 720, "fl_x": 900, "frames": [ { "landmarks": [...], "worldLandmarks": [...], "handedness": [...] } ] }
 *
 * The same things have other names in Python (`hand_world_landmarks`), in its older Hands (`multi_hand_world_landmarks`), and where a
 * message was made JSON (`multiHandWorldLandmarks`, points below `landmark`, sides below `classification`); all are read. Every result lists its hands: 21 points in the image (x and y from 0 to 1), the same in metres about the hand's own centre (OpenCV axes),
 * and which hand it is. The metric points say the hand's shape; where it is follows from where the image shows it: the
 * translation that projects them best is linear in its three unknowns. Inverse kinematics does the rest.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { fromFieldOfView, type Intrinsics } from '../camera/intrinsics.ts';
import { cameraToWorld } from '../camera/pose.ts';
import type { Vec3 } from '../camera/rotation.ts';
import type { HandSide } from '../mano/pose.ts';
import { Field, type TextFile } from '../trajectory/fields.ts';
import { checkLens } from '../trajectory/json-lens.ts';
import { LensCheck, type LensOptions } from '../trajectory/lens.ts';
import {
  DEFAULT_FPS,
  type HandPose,
  type ImportDefaults,
  type Trajectory,
  type TrajectoryFrame,
} from '../trajectory/types.ts';
import { landmarksToJoints } from './hand-ik.ts';

/** How MediaPipe's landmarks become hands. */
export interface MediapipeOptions extends ImportDefaults, LensOptions {
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
  const parsed = Field.parse(file);
  // A bare list of results says nothing of the pictures.
  const isList = Array.isArray(parsed.value);
  const root = isList ? new Field(file.name, '', {}) : parsed;
  const fps = root.get('fps').absent ? (options.fps ?? DEFAULT_FPS) : root.get('fps').positive();
  const size = (key: string, given?: number) =>
    root.get(key).absent && given !== undefined ? given : root.get(key).size();
  const [width, height] = [size('w', options.width), size('h', options.height)];
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
  const lenses = new LensCheck(file.name, options);
  checkLens((key) => root.get(key), intrinsics, lenses);
  lenses.report();
  const camera = cameraToWorld('opengl', IDENTITY);
  const list = isList ? parsed : root.get('frames');
  const results = list.items();
  if (results.length === 0) throw list.error('at least one frame');
  const frames = results.map((result, i): TrajectoryFrame => {
    const hands: Record<HandSide, HandPose | null> = { left: null, right: null };
    const found = result.absent ? undefined : readResult(result);
    found?.sides.forEach((field, hand) => {
      const side = readSide(field, options);
      const joints = () => handJoints(found.shapes[hand], found.images[hand], intrinsics, options.rest[side]);
      hands[side] ??= { joints: joints() };
    });
    return { seconds: i / fps, intrinsics, camera, hands };
  });
  return { fps, frames };
}

/** What each thing is called, in the order of trust. */
const WORLD = ['worldLandmarks', 'hand_world_landmarks', 'multi_hand_world_landmarks'];
const IMAGE = ['landmarks', 'hand_landmarks', 'multi_hand_landmarks'];
const HANDEDNESS = ['handedness', 'handednesses', 'multi_handedness'];

/** Whether a frame is a result of MediaPipe's, under any of its names; for telling formats apart. */
export const isMediapipeResult = (keys: readonly string[]): boolean =>
  keys.some((key) => [...WORLD, ...HANDEDNESS].some((name) => spellings(name).includes(key)));

const spellings = (name: string): string[] => [
  name,
  name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
];

/** The field under the first of its names that is there, else under the first. */
function named(field: Field, names: readonly string[]): Field {
  const all = names.flatMap(spellings).map((name) => field.get(name));
  return all.find(({ absent }) => !absent) ?? all[0];
}

/** Shapes, pictures and sides, hand by hand; `undefined` for a frame without hands, which some versions write as nothing at all. */
function readResult(result: Field) {
  const [world, image, names] = [WORLD, IMAGE, HANDEDNESS].map((one) => named(result, one));
  if (world.absent && image.absent && names.absent) return undefined;
  if (world.absent && !image.absent && image.items().length > 0)
    throw world.error(
      'landmarks in metres (hand_world_landmarks, multi_hand_world_landmarks): those of the image do not say how large a hand is',
    );
  const shapes = world.items();
  const count = shapes.length;
  return {
    shapes,
    images: image.items(count, 'hands, as many as have landmarks in metres'),
    sides: names.items(count, 'hands, as many as have landmarks in metres'),
  };
}

/** A list of points, or a message that holds one. */
function points(hand: Field): Field[] {
  const list = Array.isArray(hand.value) ? hand : named(hand, ['landmark', 'landmarks']);
  return list.items(21, 'landmarks');
}

/** Of {x, y, z} or of [x, y, z]. Protocol buffers leave out what is 0. */
function coordinate(point: Field, axis: 'x' | 'y' | 'z'): number {
  if (Array.isArray(point.value)) return point.items()['xyz'.indexOf(axis)]?.number() ?? 0;
  const field = point.get(axis);
  return field.value === undefined ? 0 : field.number();
}

/** A name, or a list of categories, the likeliest first, or a message that holds one. */
function readSide(field: Field, { swapHands }: MediapipeOptions): HandSide {
  let category = field;
  if (typeof field.value === 'object' && field.value !== null) {
    const list = Array.isArray(field.value) ? field : named(field, ['classification', 'categories']);
    const first = list.absent ? field : list.items()[0];
    if (!first) throw list.error('at least one category');
    category =
      typeof first.value === 'string'
        ? first
        : named(first, ['categoryName', 'category_name', 'label', 'display_name']);
  }
  const side = String(category.value).toLowerCase();
  if (side !== 'left' && side !== 'right') throw category.error('"Left" or "Right"');
  return swapHands ? (side === 'left' ? 'right' : 'left') : side;
}

function handJoints(shape: Field, image: Field, camera: Intrinsics, rest: ArrayLike<number>): Float64Array {
  const metric = points(shape).map(
    (point): Vec3 => [coordinate(point, 'x'), coordinate(point, 'y'), coordinate(point, 'z')],
  );
  const pixels = points(image).map(
    (point) => [coordinate(point, 'x') * camera.width, coordinate(point, 'y') * camera.height] as const,
  );
  const offset = placeLandmarks(metric, pixels, camera);
  if (!offset || !(offset[2] > 0)) throw image.error('landmarks of a hand in front of the camera');
  const landmarks = metric.flatMap(([x, y, z]) => [x + offset[0], -(y + offset[1]), -(z + offset[2])]);
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
export function placeLandmarks(
  points: readonly Vec3[],
  pixels: readonly (readonly [number, number])[],
  camera: Intrinsics,
): Vec3 | undefined {
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
