/**
 * Our trajectory file, which is nerfstudio's `transforms.json` plus hands; so one reader serves both. Cameras are
 * camera-to-world in OpenGL axes already. `applied_transform` says what was done to the poses and is not undone.
 * Recordings that are not evenly spaced carry `seconds` in each frame, so nothing is lost between import and
 * resample. Format: docs.nerf.studio, "Data conventions".
 */
import { fromFieldOfView, type Intrinsics } from '../camera/intrinsics.ts';
import { cameraToWorld } from '../camera/pose.ts';
import type { ManoParams } from '../mano/pose.ts';
import { byCodePoints } from './code-points.ts';
import { Field, type TextFile } from './fields.ts';
import { checkLens } from './json-lens.ts';
import { LensCheck, type LensOptions } from './lens.ts';
import {
  DEFAULT_FPS,
  DEFAULT_HEIGHT,
  DEFAULT_WIDTH,
  type HandPose,
  type Hands,
  type ImportDefaults,
  NO_HANDS,
  SIDES,
  type Trajectory,
  type TrajectoryFrame,
} from './types.ts';

/** Rounded files are off by 1e-3 at most; a scale or a mirror is off by more. */
const ROTATION_TOLERANCE = 1e-2;

/**
 * Reads a trajectory, ours or nerfstudio's. Frames are sorted by `file_path` if every one has it, as nerfstudio does.
 * @throws InvalidFileError naming the field and what was expected.
 */
export function readTransforms(file: TextFile, defaults: ImportDefaults & LensOptions = {}): Trajectory {
  const root = Field.parse(file);
  const lenses = new LensCheck(file.name, defaults);
  const fps = root.get('fps').absent ? (defaults.fps ?? DEFAULT_FPS) : root.get('fps').positive();
  const list = root.get('frames').items();
  if (list.length === 0) throw root.get('frames').error('at least one frame');
  if (list.every((frame) => typeof frame.get('file_path').value === 'string'))
    list.sort((a, b) => byCodePoints(a.get('file_path').text(), b.get('file_path').text()));
  const frames = list.map((frame, i): TrajectoryFrame => {
    const seconds = frame.get('seconds');
    return {
      seconds: seconds.absent ? i / fps : seconds.number(),
      intrinsics: readIntrinsics(root, frame, defaults, lenses),
      camera: readMatrix(frame.get('transform_matrix')),
      hands: readHands(frame.get('hands')),
    };
  });
  frames.forEach(({ seconds }, i) => {
    if (i > 0 && !(seconds > frames[i - 1].seconds)) throw list[i].get('seconds').error('increasing times');
  });
  lenses.report();
  return { fps, frames };
}

/** A frame's own values go before the file's, one by one. */
function readIntrinsics(root: Field, frame: Field, defaults: ImportDefaults, lenses: LensCheck): Intrinsics {
  const find = (key: string) => {
    const own = frame.get(key);
    return own.absent ? root.get(key) : own;
  };
  const size = (key: string, fallback: number) => (find(key).absent ? fallback : find(key).size());
  const width = size('w', defaults.width ?? DEFAULT_WIDTH);
  const height = size('h', defaults.height ?? DEFAULT_HEIGHT);
  const angle = (key: string) => {
    const field = find(key);
    const radians = field.absent ? undefined : field.positive();
    if (radians !== undefined && radians >= Math.PI) throw field.error('an angle below pi');
    return radians;
  };
  const pixels = (key: string) => (find(key).absent ? undefined : find(key).positive());
  const [angleX, angleY] = [angle('camera_angle_x'), angle('camera_angle_y')];
  const fx = pixels('fl_x') ?? (angleX && fromFieldOfView(width, height, angleX).fx);
  if (fx === undefined) throw find('fl_x').error('a focal length in pixels, or camera_angle_x');
  const fy = pixels('fl_y') ?? (angleY ? fromFieldOfView(width, height, angleY, angleY).fy : fx);
  const centre = (key: string, fallback: number) => (find(key).absent ? fallback : find(key).number());
  const camera = { fx, fy, cx: centre('cx', width / 2), cy: centre('cy', height / 2), width, height };
  checkLens(find, camera, lenses);
  return camera;
}

function readMatrix(field: Field) {
  const rows = field.items(4, 'rows');
  const matrix = Float64Array.from(rows.flatMap((row) => [...row.numbers(4)]));
  const [a, b, c, d, e, f, g, h, i] = [0, 1, 2, 4, 5, 6, 8, 9, 10].map((at) => matrix[at]);
  const products = [a * a + d * d + g * g - 1, b * b + e * e + h * h - 1, c * c + f * f + i * i - 1];
  products.push(a * b + d * e + g * h, a * c + d * f + g * i, b * c + e * f + h * i);
  const handed = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  if (handed < 0 || products.some((value) => Math.abs(value) > ROTATION_TOLERANCE))
    throw field.error('a rotation in its upper left 3x3: orthonormal and not mirrored');
  const last = [0, 0, 0, 1];
  if (last.some((value, k) => Math.abs(matrix[12 + k] - value) > 1e-6)) throw rows[3].error('0 0 0 1');
  return cameraToWorld('opengl', matrix);
}

function readHands(field: Field): Hands {
  if (field.absent) return NO_HANDS;
  const [left, right] = SIDES.map((side) => readHand(field.get(side)));
  return { left, right };
}

function readHand(field: Field): HandPose | null {
  if (field.absent) return null;
  const [joints, radius, mano] = [field.get('joints'), field.get('radius'), field.get('mano')];
  if (joints.absent && mano.absent) throw field.error('joints or mano, or null for a hand that is not there');
  return {
    ...(!joints.absent && { joints: readJoints(joints) }),
    ...(!radius.absent && { radii: radius.numbers(25) }),
    ...(!mano.absent && { mano: readMano(mano) }),
  };
}

function readJoints(field: Field): Float64Array {
  const joints = new Float64Array(25 * 7);
  field.items(25, 'joints').forEach((joint, i) => {
    const numbers = joint.numbers(7);
    if (Math.abs(Math.hypot(...numbers.subarray(3)) - 1) > ROTATION_TOLERANCE)
      throw joint.error('x y z and a quaternion x y z w of length 1');
    joints.set(numbers, 7 * i);
  });
  return joints;
}

function readMano(field: Field): ManoParams {
  return {
    orient: field.get('orient').numbers(3),
    pose: field.get('pose').numbers(45),
    betas: field.get('betas').numbers(10),
    transl: field.get('transl').numbers(3),
    flat: field.get('flat').boolean(),
  };
}

/** The trajectory as a file's text. Intrinsics that all frames share stand at the top. */
export function writeTransforms({ fps, frames }: Trajectory): string {
  const spell = ({ fx, fy, cx, cy, width, height }: Intrinsics) =>
    ({ w: width, h: height, fl_x: fx, fl_y: fy, cx, cy }) as Record<string, number>;
  const shared = spell(frames[0].intrinsics);
  const even = frames.every(({ seconds }, i) => Math.abs(seconds - i / fps) < 1e-9);
  return `${JSON.stringify({
    fps,
    ...shared,
    frames: frames.map(({ seconds, intrinsics, camera, hands }) => ({
      ...(!even && { seconds }),
      ...Object.fromEntries(
        Object.entries(spell(intrinsics)).filter(([key, value]) => value !== shared[key]),
      ),
      transform_matrix: rows(camera.matrix, 4),
      hands: { left: writeHand(hands.left), right: writeHand(hands.right) },
    })),
  })}\n`;
}

function writeHand(hand: HandPose | null) {
  if (!hand) return null;
  const { joints, radii, mano } = hand;
  return {
    ...(joints && { joints: rows(joints, 7) }),
    ...(radii && { radius: [...radii] }),
    ...(mano && {
      mano: {
        orient: Array.from(mano.orient),
        pose: Array.from(mano.pose),
        betas: Array.from(mano.betas),
        transl: Array.from(mano.transl),
        flat: mano.flat,
      },
    }),
  };
}

const rows = (data: Float64Array, width: number) =>
  Array.from({ length: data.length / width }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
