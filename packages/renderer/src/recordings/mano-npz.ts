/**
 * MANO parameters over time as an `.npz`, in the words of four data sets, world space, 30 frames a second:
 *
 *   ARCTIC    `<side>.rot` [N, 3], `.pose` [N, 45], `.trans` [N, 3], `.shape` [10] or [N, 10]; or `rot_l`, `pose_l`, …
 *   OakInk2   `lh__pose_coeffs` [N, 16, 4] quaternions w x y z, `lh__tsl` [N, 3], `lh__betas` [N, 10]; `rh__…`
 *   TACO      `<side>.hand_pose` [N, 48], `.hand_trans` [N, 3], `.hand_shape` [10]
 *   HO-Cap    `poses_m` [2, N, 51], right hand first, -1 where there is none: wrist, 45 PCA coefficients, place; `betas` [10]
 *
 * Fingers are relative to the mean pose in ARCTIC and HO-Cap, to the flat hand in the others; OakInk2 and TACO place
 * the wrist, the others the model's origin. Left hands are given for a left model; ours is the right one mirrored.
 *
 * The camera, OpenCV axes, world to camera, is in the same file or in one of its own: `intrinsics` [3, 3] with
 * `R_k_cam_np` [N, 3, 3] and `T_k_cam_np` [N, 3, 1] (ARCTIC), or `cam_intr` [3, 3] with `cam_extr` [N, 4, 4] or [4, 4];
 * the lens, where there is one, is OpenCV's `dist8`: k1 k2 p1 p2 k3 k4 k5 k6.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { BinaryFile } from '@dwm/core-tensor/files';
import type { Intrinsics } from '../camera/intrinsics.ts';
import { inverted, type Pose, withAxes, worldToCamera } from '../camera/pose.ts';
import { toAxisAngle, unit } from '../camera/rotation.ts';
import type { ManoModel } from '../mano/model.ts';
import { type HandSide, type ManoParams, manoRestJoints, mirroredAngles, pcaToPose } from '../mano/pose.ts';
import { LensCheck, type LensOptions, openCvLens } from '../trajectory/lens.ts';
import { type NpyArray, type NpzFile, openNpz, shapedArray } from '../trajectory/npy.ts';
import { type HandPose, type ImportDefaults, SIDES, type Trajectory } from '../trajectory/types.ts';

const FPS = 30;

/** More than any recording has; what claims more is damaged. */
const MOST_FRAMES = 1 << 18;

/** A hand's parameters as a data set has them, in a left model's sense for a left hand. */
interface HandTrack {
  readonly frames: number;
  /** Wrist and fingers [48], axis-angles; undefined where the hand is not there. */
  angles(frame: number): ArrayLike<number> | undefined;
  place(frame: number): ArrayLike<number>;
  betas(frame: number): ArrayLike<number>;
  /** Whether fingers are relative to the flat hand, and whether the place is the wrist's. */
  readonly flat: boolean;
  readonly wristPlaced: boolean;
}

type Track = (npz: NpzFile, side: HandSide, model: ManoModel) => Promise<HandTrack | undefined>;

/** One row of many, or the one that serves all. */
const row = (array: NpyArray, size: number, frame: number): Float64Array => {
  const at = array.data.length === size ? 0 : frame * size;
  return array.data.subarray(at, at + size);
};

const rowsOf = async (npz: NpzFile, name: string, size: number[]): Promise<NpyArray> =>
  shapedArray(npz, name, [-1, ...size]);

/** [size], or [N, size]. */
async function oneOrMany(npz: NpzFile, name: string, size: number, frames: number): Promise<NpyArray> {
  const { shape } = await npz.array(name);
  return shapedArray(npz, name, shape.length === 1 ? [size] : [frames, size]);
}

const arctic =
  (named: (field: string, side: HandSide) => string): Track =>
  async (npz, side) => {
    const name = (field: string) => named(field, side);
    if (!npz.arrays.includes(name('rot'))) return undefined;
    const rot = await rowsOf(npz, name('rot'), [3]);
    const [frames] = rot.shape;
    const pose = await shapedArray(npz, name('pose'), [frames, 45]);
    const trans = await shapedArray(npz, name('trans'), [frames, 3]);
    const shape = await oneOrMany(npz, name('shape'), 10, frames);
    return {
      frames,
      angles: (i) => [...row(rot, 3, i), ...pose.data.subarray(45 * i, 45 * i + 45)],
      place: (i) => trans.data.subarray(3 * i, 3 * i + 3),
      betas: (i) => row(shape, 10, i),
      flat: false,
      wristPlaced: false,
    };
  };

const oakink2: Track = async (npz, side) => {
  const name = (field: string) => `${side[0]}h__${field}`;
  if (!npz.arrays.includes(name('pose_coeffs'))) return undefined;
  const pose = await rowsOf(npz, name('pose_coeffs'), [16, 4]);
  const [frames] = pose.shape;
  const place = await shapedArray(npz, name('tsl'), [frames, 3]);
  const shape = await oneOrMany(npz, name('betas'), 10, frames);
  return {
    frames,
    angles: (i) =>
      Array.from({ length: 16 }, (_, joint) => {
        const at = 64 * i + 4 * joint;
        const [w, x, y, z] = pose.data.subarray(at, at + 4);
        const turn = unit([x, y, z, w]);
        if (turn) return [...toAxisAngle(turn)];
        throw new InvalidFileError(
          npz.name,
          `${name('pose_coeffs')}[${i}][${joint}]: expected a quaternion of length 1`,
        );
      }).flat(),
    place: (i) => place.data.subarray(3 * i, 3 * i + 3),
    betas: (i) => row(shape, 10, i),
    flat: true,
    wristPlaced: true,
  };
};

const taco: Track = async (npz, side) => {
  const name = (field: string) => `${side}.hand_${field}`;
  if (!npz.arrays.includes(name('pose'))) return undefined;
  const pose = await rowsOf(npz, name('pose'), [48]);
  const [frames] = pose.shape;
  const place = await shapedArray(npz, name('trans'), [frames, 3]);
  const shape = await oneOrMany(npz, name('shape'), 10, frames);
  return {
    frames,
    angles: (i) => pose.data.subarray(48 * i, 48 * i + 48),
    place: (i) => place.data.subarray(3 * i, 3 * i + 3),
    betas: (i) => row(shape, 10, i),
    flat: true,
    wristPlaced: true,
  };
};

const hocap: Track = async (npz, side, model) => {
  if (!npz.arrays.includes('poses_m')) return undefined;
  const poses = await shapedArray(npz, 'poses_m', [2, -1, 51]);
  const betas = await shapedArray(npz, 'betas', [10]);
  const frames = poses.shape[1];
  const at = (i: number) =>
    poses.data.subarray(
      51 * (i + (side === 'right' ? 0 : frames)),
      51 * (i + 1 + (side === 'right' ? 0 : frames)),
    );
  return {
    frames,
    angles: (i) => {
      const numbers = at(i);
      if (numbers.every((value) => value === -1)) return undefined;
      // A left model's components are the right one's, mirrored.
      const pose = pcaToPose(model, numbers.subarray(3, 48));
      return [...numbers.subarray(0, 3), ...(side === 'left' ? mirroredAngles(pose) : pose)];
    },
    place: (i) => at(i).subarray(48),
    betas: () => betas.data,
    flat: false,
    wristPlaced: false,
  };
};

const LAYOUTS: readonly Track[] = [
  arctic((field, side) => `${side}.${field}`),
  arctic((field, side) => `${field}_${side[0]}`),
  oakink2,
  taco,
  hocap,
];

function toParams(track: HandTrack, frame: number, side: HandSide, model: ManoModel): ManoParams | undefined {
  const given = track.angles(frame);
  if (!given) return undefined;
  const angles = side === 'left' ? mirroredAngles(given) : Array.from(given);
  const [betas, place] = [track.betas(frame), track.place(frame)];
  const rest = track.wristPlaced ? manoRestJoints(model, betas) : [0, 0, 0];
  const wrist = [side === 'left' ? -rest[0] : rest[0], rest[1], rest[2]];
  return {
    orient: angles.slice(0, 3),
    pose: angles.slice(3),
    betas,
    transl: wrist.map((value, axis) => place[axis] - value),
    flat: track.flat,
  };
}

/** Whether a zip, by the names in its directory, holds hands or a camera of these data sets; for telling formats apart. */
export function manoNpzKind(bytes: Uint8Array): 'mano' | 'mano-camera' | undefined {
  const names = new TextDecoder('latin1').decode(bytes.subarray(Math.max(0, bytes.length - (1 << 16))));
  if (/((left|right)\.(rot|hand_pose)|rot_[lr]|[lr]h__pose_coeffs|poses_m)\.npy/.test(names)) return 'mano';
  return /(cam_extr|R_k_cam_np)\.npy/.test(names) ? 'mano-camera' : undefined;
}

/**
 * @param model the user's MANO file, for the wrist's place and the principal components.
 * @param cameraFile where the camera is not in the same file.
 * @throws InvalidFileError naming the array and what was expected.
 */
export async function importManoNpz(
  file: BinaryFile,
  model: ManoModel,
  cameraFile: BinaryFile = file,
  options: ImportDefaults & LensOptions = {},
): Promise<Trajectory> {
  const npz = await openNpz(file);
  const tracks = await Promise.all(SIDES.map((side) => trackOf(npz, side, model)));
  const counts = tracks.flatMap((track) => (track ? [track.frames] : []));
  const [frames] = counts;
  if (
    counts.length === 0 ||
    !(frames > 0 && frames <= MOST_FRAMES) ||
    counts.some((count) => count !== frames)
  )
    throw new InvalidFileError(
      file.name,
      counts.length === 0
        ? `has hands of no known data set; it holds ${npz.arrays.slice(0, 12).join(', ')}`
        : `has hands of ${counts.join(' and ')} frames, expected the same, from 1 to ${MOST_FRAMES}`,
    );
  const { intrinsics, camera } = await readCamera(await openNpz(cameraFile), frames, options);
  const fps = options.fps ?? FPS;
  const hand = (side: number, frame: number): HandPose | null => {
    const track = tracks[side];
    const mano = track && toParams(track, frame, SIDES[side], model);
    return mano ? { mano } : null;
  };
  return {
    fps,
    frames: Array.from({ length: frames }, (_, i) => ({
      seconds: i / fps,
      intrinsics,
      camera: camera(i),
      hands: { left: hand(0, i), right: hand(1, i) },
    })),
  };
}

async function trackOf(npz: NpzFile, side: HandSide, model: ManoModel): Promise<HandTrack | undefined> {
  for (const layout of LAYOUTS) {
    const track = await layout(npz, side, model);
    if (track) return track;
  }
  return undefined;
}

async function readCamera(
  npz: NpzFile,
  frames: number,
  options: ImportDefaults & LensOptions,
): Promise<{ intrinsics: Intrinsics; camera: (frame: number) => Pose<'opengl'> }> {
  const isArctic = npz.arrays.includes('R_k_cam_np');
  if (!isArctic && !npz.arrays.includes('cam_extr'))
    throw new InvalidFileError(
      npz.name,
      'has no camera: add cam_intr [3, 3] and cam_extr [N, 4, 4] (world to camera), or pass a second .npz that has them',
    );
  const matrix = await shapedArray(npz, isArctic ? 'intrinsics' : 'cam_intr', [3, 3]);
  const [fx, , cx, , fy, cy] = matrix.data;
  const [width, height] = [options.width ?? Math.round(2 * cx), options.height ?? Math.round(2 * cy)];
  const isSize = (pixels: number) => pixels >= 1 && pixels <= 65536;
  if (!(fx > 0 && fy > 0 && isSize(width) && isSize(height)))
    throw new InvalidFileError(
      npz.name,
      `${isArctic ? 'intrinsics' : 'cam_intr'}: expected focal lengths and a centre inside the picture, in pixels`,
    );
  const intrinsics = { fx, fy, cx, cy, width, height };
  if (npz.arrays.includes('dist8')) {
    const [k1, k2, p1, p2, ...k] = (await shapedArray(npz, 'dist8', [8])).data;
    const lenses = new LensCheck(npz.name, options);
    lenses.check(intrinsics, openCvLens({ k: [k1, k2, ...k], p: [p1, p2] }), 'dist8');
    lenses.report();
  }
  const rows = isArctic ? await arcticRows(npz, frames) : await matrixRows(npz, frames);
  const camera = (frame: number) => {
    const pose = inverted(worldToCamera('opencv', rows(frame)));
    if (!pose.matrix.every(Number.isFinite))
      throw new InvalidFileError(
        npz.name,
        `the camera of frame ${frame}: expected a rotation and a translation`,
      );
    return withAxes(pose, 'opengl');
  };
  return { intrinsics, camera };
}

async function arcticRows(npz: NpzFile, frames: number) {
  const turn = (await shapedArray(npz, 'R_k_cam_np', [frames, 3, 3])).data;
  const place = (await shapedArray(npz, 'T_k_cam_np', [frames, 3, 1])).data;
  return (frame: number): number[] => [
    ...[0, 1, 2].flatMap((i) => [
      ...turn.subarray(9 * frame + 3 * i, 9 * frame + 3 * i + 3),
      place[3 * frame + i],
    ]),
    ...[0, 0, 0, 1],
  ];
}

async function matrixRows(npz: NpzFile, frames: number) {
  const still = (await npz.array('cam_extr')).shape.length === 2;
  const { data } = await shapedArray(npz, 'cam_extr', still ? [4, 4] : [frames, 4, 4]);
  return (frame: number): number[] => {
    const matrix = [...data.subarray(still ? 0 : 16 * frame, still ? 16 : 16 * frame + 16)];
    if ([0, 0, 0, 1].every((value, i) => matrix[12 + i] === value)) return matrix;
    throw new InvalidFileError(npz.name, `cam_extr[${frame}]: expected a 4x4 matrix, its last row 0 0 0 1`);
  };
}
