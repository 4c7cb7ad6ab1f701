/**
 * Recordings of any format as a trajectory. Hands that come as MANO parameters get WebXR joints too, so that what
 * is drawn from the trajectory later does not need the MANO file.
 */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import {
  cameraToWorld,
  type DeviceCamera,
  deviceTrajectory,
  fromFieldOfView,
  type HandPose,
  type HandSide,
  hot3dTrajectory,
  type ImportDefaults,
  importColmap,
  importHamer,
  importMediapipe,
  importWebxr,
  type ManoModel,
  manoToWebxr,
  posedMano,
  RiggedHand,
  readAriaPath,
  readHot3dHands,
  readHot3dPath,
  readTransforms,
  SIDES,
  type Trajectory,
} from '@dwm/renderer';
import { readDefaultHand } from '@dwm/renderer/node';
import { readBytes, readMano } from './files.ts';
import { FORMATS, type Format, type Kind, kindOf } from './kinds.ts';

export interface ImportFlags extends ImportDefaults {
  readonly format: Format | 'auto';
  readonly mano?: string;
  /** Metres in one unit of a COLMAP reconstruction. */
  readonly scale?: number;
  /** Focal length in pixels of a headset's camera. */
  readonly focal?: number;
  /** JSON of a 4x4 matrix: camera to headset. */
  readonly extrinsics?: string;
  readonly frames?: number;
  readonly swapHands?: boolean;
}

interface Recording {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly kind: Kind;
}

/** The trajectory, and the format that it was. Throws what the readers throw. */
export async function importTrajectory(
  paths: readonly string[],
  flags: ImportFlags,
): Promise<{ trajectory: Trajectory; format: Format }> {
  const recordings = new Map<Kind, Recording>();
  for (const path of await withNeighbours(paths)) {
    const recording = await readRecording(path, flags.format);
    const earlier = recordings.get(recording.kind);
    if (earlier)
      throw new InvalidArgumentError('FILE', `${path} is a second ${recording.kind} beside ${earlier.name}`);
    recordings.set(recording.kind, recording);
  }
  const format = formatOf(recordings, flags.format);
  const mano = flags.mano ? await readMano(flags.mano) : undefined;
  const trajectory = await read(format, recordings, flags, mano);
  return { trajectory: mano ? withJoints(trajectory, mano) : trajectory, format };
}

/** A folder stands for COLMAP's two files in it, and either of them for both. */
async function withNeighbours(paths: readonly string[]): Promise<string[]> {
  const all = new Set<string>();
  for (const path of paths) {
    const folder = (await stat(path).catch(() => undefined))?.isDirectory();
    const colmap = folder || /(^|[\\/])(cameras|images)\.txt$/.test(path);
    const at = folder ? path : dirname(path);
    for (const name of colmap ? [join(at, 'cameras.txt'), join(at, 'images.txt')] : [path]) all.add(name);
  }
  return [...all];
}

async function readRecording(name: string, format: Format | 'auto'): Promise<Recording> {
  const bytes = await readBytes(name);
  const found = kindOf(name, bytes);
  // A format of one file may be forced, so that its reader says what is wrong with the file.
  const kinds = format === 'auto' ? [] : FORMATS[format];
  const kind = found ?? (kinds.length === 1 ? kinds[0] : undefined);
  if (!kind) {
    throw new InvalidFileError(
      name,
      `is no recording this program knows, expected one of ${Object.keys(FORMATS).join(', ')}`,
    );
  }
  return { name, bytes, kind };
}

function formatOf(recordings: ReadonlyMap<Kind, Recording>, wanted: Format | 'auto'): Format {
  const formats = Object.keys(FORMATS) as Format[];
  const [first] = recordings.values();
  // Hands of HOT3D go with the path of either headset.
  const found = recordings.has('hot3d-hands')
    ? 'hot3d'
    : formats.find((format) => FORMATS[format].includes(first.kind))!;
  if (wanted !== 'auto' && wanted !== found)
    throw new InvalidFileError(first.name, `is ${found}, not ${wanted}; leave --format out`);
  const taken: readonly Kind[] = found === 'hot3d' ? [...FORMATS.hot3d, 'aria'] : FORMATS[found];
  const stranger = [...recordings.values()].find(({ kind }) => !taken.includes(kind));
  if (stranger)
    throw new InvalidFileError(stranger.name, `does not go with ${first.name}, which is ${found}`);
  return found;
}

async function read(
  format: Format,
  recordings: ReadonlyMap<Kind, Recording>,
  flags: ImportFlags,
  mano: ManoModel | undefined,
): Promise<Trajectory> {
  const has = (kind: Kind) => recordings.has(kind);
  const binary = (kind: Kind) => {
    const recording = recordings.get(kind);
    if (recording) return recording;
    throw new InvalidArgumentError('FILE', `${format} needs a ${kind} file too`);
  };
  const text = (kind: Kind) => {
    const { name, bytes } = binary(kind);
    return { name, text: new TextDecoder().decode(bytes) };
  };
  const model = () => {
    if (mano) return mano;
    throw new InvalidArgumentError('mano', `is required for ${format}: your MANO_RIGHT.npz`);
  };
  switch (format) {
    case 'nerfstudio':
      return readTransforms(text('transforms'), flags);
    case 'webxr':
      return importWebxr(text('webxr'), flags);
    case 'colmap':
      return importColmap(text('colmap-cameras'), text('colmap-images'), flags);
    case 'hamer':
      return importHamer(binary('hamer'), model(), flags);
    case 'mediapipe':
      return importMediapipe(text('mediapipe'), { ...flags, rest: await restHands() });
    case 'aria':
      return deviceTrajectory(readAriaPath(text('aria')), await headsetCamera(flags), flags.fps);
    case 'hot3d': {
      const path = has('aria') ? readAriaPath(text('aria')) : readHot3dPath(text('hot3d-headset'));
      const camera = await headsetCamera(flags);
      if (!has('hot3d-hands')) return deviceTrajectory(path, camera, flags.fps);
      return hot3dTrajectory(readHot3dHands(text('hot3d-hands'), model()), path, camera);
    }
  }
}

/** The default hands at rest: whose bones MediaPipe's landmarks are put on. */
async function restHands(): Promise<Record<HandSide, Float64Array>> {
  const device = await openNodeDevice();
  try {
    const [left, right] = await Promise.all(
      SIDES.map(async (side) => {
        const hand = new RiggedHand(device, await readDefaultHand(side));
        const rest = hand.restJoints();
        hand.destroy();
        return rest;
      }),
    );
    return { left, right };
  } finally {
    device.destroy();
  }
}

/** As the original renders reconstructed rooms: fx = fy = 300 at 720x480. */
const HEADSET_FOCAL = 300;

async function headsetCamera({
  width = 720,
  height = 480,
  focal = HEADSET_FOCAL,
  extrinsics,
}: ImportFlags): Promise<DeviceCamera> {
  const centred = fromFieldOfView(width, height, 2 * Math.atan(width / (2 * focal)));
  const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  const matrix = extrinsics ? await readMatrix(extrinsics) : identity;
  return { intrinsics: centred, deviceFromCamera: cameraToWorld('opencv', matrix) };
}

async function readMatrix(path: string): Promise<number[]> {
  const problem = new InvalidFileError(path, 'expected a JSON of 4 rows of 4 numbers, the last 0 0 0 1');
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(await readBytes(path)));
  } catch (error) {
    throw error instanceof SyntaxError ? problem : error;
  }
  const rows = Array.isArray(value) ? value.flat() : [];
  const affine = [0, 0, 0, 1].every((number, i) => rows[12 + i] === number);
  if (rows.length !== 16 || !rows.every(Number.isFinite) || !affine) throw problem;
  return rows;
}

function withJoints(trajectory: Trajectory, model: ManoModel): Trajectory {
  const add = (side: HandSide, hand: HandPose | null): HandPose | null =>
    hand?.mano && !hand.joints
      ? { ...hand, joints: manoToWebxr(posedMano(model, hand.mano, side), side) }
      : hand;
  return {
    ...trajectory,
    frames: trajectory.frames.map((frame) => ({
      ...frame,
      hands: { left: add('left', frame.hands.left), right: add('right', frame.hands.right) },
    })),
  };
}
