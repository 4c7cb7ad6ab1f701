/**
 * What kind of recording a file is, by its content. Some formats are one file, others need two, so files are told
 * apart one by one and a format is a set of kinds.
 */
import { isColmapCameras, isColmapImages } from './colmap-binary.ts';
import { egoexoKind } from './egoexo.ts';
import { manoNpzKind } from './mano-npz.ts';
import { isMediapipeResult } from './mediapipe.ts';
import { isTar } from './tar.ts';

/** A kind of recorded file, as its content tells it. */
export type RecordingKind =
  | 'transforms'
  | 'webxr'
  | 'mediapipe'
  | 'hamer'
  | 'mano'
  | 'mano-camera'
  | 'egodex'
  | 'egoexo-hands'
  | 'egoexo-camera'
  | 'hot3d-hands'
  | 'hot3d-headset'
  | 'hot3d-clip'
  | 'aria'
  | 'colmap-cameras'
  | 'colmap-images'
  | 'colmap-cameras-binary'
  | 'colmap-images-binary';

/** A program whose recordings are read. */
export type RecordingFormat =
  | 'nerfstudio'
  | 'colmap'
  | 'webxr'
  | 'hamer'
  | 'mano'
  | 'egodex'
  | 'egoexo4d'
  | 'hot3d'
  | 'hot3d-clips'
  | 'aria'
  | 'mediapipe';

/** The kinds of files of each format. */
export const RECORDING_FORMATS: Readonly<Record<RecordingFormat, readonly RecordingKind[]>> = {
  nerfstudio: ['transforms'],
  colmap: ['colmap-cameras', 'colmap-images', 'colmap-cameras-binary', 'colmap-images-binary'],
  webxr: ['webxr'],
  hamer: ['hamer'],
  mano: ['mano', 'mano-camera'],
  egodex: ['egodex'],
  egoexo4d: ['egoexo-hands', 'egoexo-camera'],
  hot3d: ['hot3d-hands', 'hot3d-headset'],
  'hot3d-clips': ['hot3d-clip'],
  aria: ['aria'],
  mediapipe: ['mediapipe'],
};

/** How every HDF5 file starts. */
const HDF5 = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];

/** `undefined` for a file that is none of them. `name` decides nothing but between COLMAP's empty and damaged files. */
export function recordingKind(name: string, bytes: Uint8Array): RecordingKind | undefined {
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return manoNpzKind(bytes) ?? 'hamer';
  if (isTar(bytes)) return 'hot3d-clip';
  if (HDF5.every((byte, i) => bytes[i] === byte)) return 'egodex';
  if (/cameras\.bin$/.test(name) || isColmapCameras({ name, bytes })) return 'colmap-cameras-binary';
  if (/images\.bin$/.test(name) || isColmapImages({ name, bytes })) return 'colmap-images-binary';
  // Enough for a header; JSON is looked at whole.
  const text = new TextDecoder().decode(bytes.subarray(0, 1 << 16)).trimStart();
  if (/^[{[]/.test(text)) return kindOfJson(new TextDecoder().decode(bytes));
  const [header] = text.split(/\r?\n/, 1);
  if (header.includes('tracking_timestamp_us')) return 'aria';
  if (header.includes('timestamp[ns]')) return 'hot3d-headset';
  const line = text.split(/\r?\n/).find((row) => row.trim() !== '' && !row.startsWith('#')) ?? '';
  if (/^\S+\s+[A-Z_]+\s+\d+\s+\d+\s+\S/.test(line)) return 'colmap-cameras';
  if (/^\S+(\s+[-+.\deE]+){7}\s+\S+\s+\S/.test(line)) return 'colmap-images';
  if (/cameras\.txt$/.test(name)) return 'colmap-cameras';
  if (/images\.txt$/.test(name)) return 'colmap-images';
  return undefined;
}

const has = (value: unknown, key: string) =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key);

function kindOfJson(text: string): RecordingKind | undefined {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    // One object a line; a damaged JSON of another format is for its reader to report.
    return /^[^\n]*"hand_poses"/.test(text.trimStart()) ? 'hot3d-hands' : kindOfDamaged(text);
  }
  if (has(root, 'hand_poses')) return 'hot3d-hands';
  const egoexo = egoexoKind(root);
  if (egoexo) return egoexo;
  const frames = Array.isArray(root) ? root : (root as { frames?: unknown } | null)?.frames;
  if (!Array.isArray(frames)) return undefined;
  if (frames.some((frame) => has(frame, 'transform_matrix'))) return 'transforms';
  if (frames.some((frame) => has(frame, 'view'))) return 'webxr';
  if (frames.some((frame) => typeof frame === 'object' && frame && isMediapipeResult(Object.keys(frame))))
    return 'mediapipe';
  return undefined;
}

function kindOfDamaged(text: string): RecordingKind | undefined {
  if (text.includes('"transform_matrix"')) return 'transforms';
  if (text.includes('"annotation3D"')) return 'egoexo-hands';
  if (text.includes('"camera_extrinsics"')) return 'egoexo-camera';
  if (/"(\w*_)?world_?landmarks"/i.test(text)) return 'mediapipe';
  return text.includes('"projectionMatrix"') ? 'webxr' : undefined;
}
