/**
 * Recordings of any format as a trajectory. Hands that come as MANO parameters get WebXR joints too, so that what
 * is drawn from the trajectory later does not need the MANO file.
 */
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import {
  cameraToWorld,
  fromFieldOfView,
  type HandPose,
  type HandSide,
  type ManoModel,
  manoToWebxr,
  posedMano,
  RiggedHand,
  readTransforms,
  SIDES,
  type Trajectory,
} from '@dwm/renderer';
import { readDefaultHand, readEgodexFile } from '@dwm/renderer/node';
import {
  type DeviceCamera,
  deviceTrajectory,
  hot3dTrajectory,
  type ImportDefaults,
  importColmap,
  importColmapBinary,
  importEgodex,
  importEgoexo,
  importHamer,
  importHot3dClip,
  importManoNpz,
  importMediapipe,
  importWebxr,
  RECORDING_FORMATS,
  type RecordingFormat,
  type RecordingKind,
  readAriaPath,
  readHot3dHands,
  readHot3dPath,
  recordingKind,
} from '@dwm/renderer/recordings';
import { isLerobot, LerobotDataset } from '../lerobot/dataset.ts';
import { episodeTrajectory } from '../lerobot/hands.ts';
import type { Reporter } from '../report.ts';
import { withColmapFiles } from './colmap-files.ts';
import { readBytes, readMano } from './files.ts';

export interface ImportFlags extends ImportDefaults {
  readonly format: RecordingFormat | 'auto';
  readonly mano?: string;
  /** Metres in one unit of a COLMAP reconstruction. */
  readonly scale?: number;
  /** Focal length in pixels of a headset's camera. */
  readonly focal?: number;
  /** JSON of a 4x4 matrix: camera to headset. */
  readonly extrinsics?: string;
  readonly frames?: number;
  readonly swapHands?: boolean;
  readonly ignoreDistortion?: boolean;
  /** Of a data set of LeRobot. */
  readonly episode?: number;
}

interface Recording {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly kind: RecordingKind;
}

/** The trajectory, and the format that it was. Throws what the readers throw. */
export async function importTrajectory(
  paths: readonly string[],
  flags: ImportFlags,
  reporter: Reporter,
): Promise<{ trajectory: Trajectory; format: RecordingFormat | 'lerobot' }> {
  if (paths.length === 1 && (await isLerobot(paths[0]))) {
    if (flags.format !== 'auto')
      throw new InvalidFileError(paths[0], `is a LeRobot data set, not ${flags.format}; leave --format out`);
    const data = await LerobotDataset.open(paths[0]);
    return {
      trajectory: await episodeTrajectory(data, await data.episode(flags.episode ?? 0)),
      format: 'lerobot',
    };
  }
  if (flags.episode !== undefined)
    throw new InvalidArgumentError('episode', `is of a data set of LeRobot, which ${paths[0]} is not`);
  const recordings = new Map<RecordingKind, Recording>();
  for (const path of await withColmapFiles(paths, reporter)) {
    const recording = await readRecording(path, flags.format);
    const earlier = recordings.get(recording.kind);
    if (earlier)
      throw new InvalidArgumentError('FILE', `${path} is a second ${recording.kind} beside ${earlier.name}`);
    recordings.set(recording.kind, recording);
  }
  const format = formatOf(recordings, flags.format);
  const mano = flags.mano ? await readMano(flags.mano) : undefined;
  const trajectory = await read(format, recordings, flags, mano, reporter);
  return { trajectory: mano ? withJoints(trajectory, mano) : trajectory, format };
}

async function readRecording(name: string, format: RecordingFormat | 'auto'): Promise<Recording> {
  const bytes = await readBytes(name);
  const found = recordingKind(name, bytes);
  // A format of one file may be forced, so that its reader says what is wrong with the file.
  const kinds = format === 'auto' ? [] : RECORDING_FORMATS[format];
  const kind = found ?? (kinds.length === 1 ? kinds[0] : undefined);
  if (!kind) {
    checkNoCalibration(name, bytes);
    throw new InvalidFileError(
      name,
      `is no recording this program knows, expected one of ${Object.keys(RECORDING_FORMATS).join(', ')}`,
    );
  }
  return { name, bytes, kind };
}

function formatOf(
  recordings: ReadonlyMap<RecordingKind, Recording>,
  wanted: RecordingFormat | 'auto',
): RecordingFormat {
  const formats = Object.keys(RECORDING_FORMATS) as RecordingFormat[];
  const [first] = recordings.values();
  // Hands of HOT3D go with the path of either headset.
  const found = recordings.has('hot3d-hands')
    ? 'hot3d'
    : formats.find((format) => RECORDING_FORMATS[format].includes(first.kind))!;
  if (wanted !== 'auto' && wanted !== found)
    throw new InvalidFileError(first.name, `is ${found}, not ${wanted}; leave --format out`);
  const taken: readonly RecordingKind[] =
    found === 'hot3d' ? [...RECORDING_FORMATS.hot3d, 'aria'] : RECORDING_FORMATS[found];
  const stranger = [...recordings.values()].find(({ kind }) => !taken.includes(kind));
  if (stranger)
    throw new InvalidFileError(stranger.name, `does not go with ${first.name}, which is ${found}`);
  return found;
}

async function read(
  format: RecordingFormat,
  recordings: ReadonlyMap<RecordingKind, Recording>,
  flags: ImportFlags,
  mano: ManoModel | undefined,
  reporter: Reporter,
): Promise<Trajectory> {
  const options = { ...flags, warn: (line: string) => reporter.warn(line) };
  const has = (kind: RecordingKind) => recordings.has(kind);
  const binary = (kind: RecordingKind) => {
    const recording = recordings.get(kind);
    if (recording) return recording;
    throw new InvalidArgumentError('FILE', `${format} needs a ${kind} file too`);
  };
  const text = (kind: RecordingKind) => {
    const { name, bytes } = binary(kind);
    return { name, text: new TextDecoder().decode(bytes) };
  };
  const model = () => {
    if (mano) return mano;
    throw new InvalidArgumentError('mano', `is required for ${format}: your MANO_RIGHT.npz`);
  };
  switch (format) {
    case 'nerfstudio':
      return readTransforms(text('transforms'), options);
    case 'webxr':
      return importWebxr(text('webxr'), flags);
    case 'colmap':
      if (has('colmap-cameras-binary') || has('colmap-images-binary'))
        return importColmapBinary(binary('colmap-cameras-binary'), binary('colmap-images-binary'), options);
      return importColmap(text('colmap-cameras'), text('colmap-images'), options);
    case 'hamer':
      return importHamer(binary('hamer'), model(), flags);
    case 'mano':
      return importManoNpz(binary('mano'), model(), recordings.get('mano-camera'), options);
    case 'mediapipe':
      return importMediapipe(text('mediapipe'), { ...options, rest: await restHands() });
    case 'egodex':
      return importEgodex(await readEgodexFile(binary('egodex').name), await restHands());
    case 'egoexo4d':
      return importEgoexo(text('egoexo-hands'), text('egoexo-camera'), await restHands());
    case 'hot3d-clips': {
      const { intrinsics } = await headsetCamera(flags, reporter);
      return importHot3dClip(binary('hot3d-clip'), model(), intrinsics);
    }
    case 'aria':
      return deviceTrajectory(readAriaPath(text('aria')), await headsetCamera(flags, reporter), flags.fps);
    case 'hot3d': {
      const path = has('aria') ? readAriaPath(text('aria')) : readHot3dPath(text('hot3d-headset'));
      const camera = await headsetCamera(flags, reporter);
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

async function headsetCamera(
  { width = 720, height = 480, focal = HEADSET_FOCAL, extrinsics }: ImportFlags,
  reporter: Reporter,
): Promise<DeviceCamera> {
  const angle = 2 * Math.atan(width / (2 * focal));
  const centred = fromFieldOfView(width, height, angle);
  const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  const matrix = extrinsics ? await readMatrix(extrinsics) : identity;
  reporter.say(
    `the headset's own cameras are fisheyes; its path is taken with a pinhole of ${focal} pixels, ${((angle * 180) / Math.PI).toFixed(1)} degrees across (--focal)`,
  );
  return { intrinsics: centred, deviceFromCamera: cameraToWorld('opencv', matrix) };
}

/** Calibrations of headsets (Aria's, HOT3D's) describe fisheyes. @throws InvalidFileError with what to do with one. */
function checkNoCalibration(path: string, bytes: Uint8Array): void {
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, 1 << 20));
  if (!/"projection_model_type"|"CameraCalibrations"|FISHEYE624|FisheyeRadTanThinPrism/.test(text)) return;
  throw new InvalidFileError(
    path,
    "is a headset's calibration, of fisheye cameras, which are not drawn: pass a pinhole's focal length as --focal, and the camera's 4x4 matrix to the headset as --extrinsics",
  );
}

async function readMatrix(path: string): Promise<number[]> {
  const problem = new InvalidFileError(
    path,
    'expected a JSON of 4 rows of 4 numbers, the last 0 0 0 1, for --extrinsics',
  );
  const bytes = await readBytes(path);
  let value: unknown;
  checkNoCalibration(path, bytes);
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
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
