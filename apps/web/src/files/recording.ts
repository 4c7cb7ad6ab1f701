/** A recording of any format that needs nothing but itself, as a trajectory: what `dwm trajectory` reads without options. */
import { cameraToWorld, fromFieldOfView, readTransforms, SIDES, type Trajectory } from '@dwm/renderer';
import {
  deviceTrajectory,
  importColmap,
  importColmapBinary,
  importMediapipe,
  importWebxr,
  type RecordingKind,
  readAriaPath,
  readHot3dPath,
  recordingKind,
} from '@dwm/renderer/recordings';
import type { DroppedFile } from '../model-store/dropped.ts';
import { REST_HANDS } from '../tracking/rest-hands.ts';

/** As `dwm trajectory` takes a headset's camera: 300 pixels at 720 x 480, where the headset is. */
const HEADSET = {
  intrinsics: fromFieldOfView(720, 480, 2 * Math.atan(720 / (2 * 300))),
  deviceFromCamera: cameraToWorld('opencv', [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]),
};

/** Longer than any file of text or poses; video and splats are not read here. */
const MOST_BYTES = 200e6;

const needsMano = (name: string) =>
  new Error(
    `${name}: hands as MANO parameters need your MANO file, which the page does not take; write a trajectory first: dwm trajectory import ${name} --mano MANO_RIGHT.npz --out T.json`,
  );

/**
 * @param warn is told what was left out, a line each.
 * @throws InvalidFileError naming the field; Error that says what to do with a recording that needs more than itself.
 */
export async function readRecording(
  files: readonly DroppedFile[],
  warn: (line: string) => void,
): Promise<Trajectory> {
  const found = new Map<RecordingKind, { readonly name: string; readonly bytes: Uint8Array }>();
  for (const { path, file } of files) {
    if (file.size > MOST_BYTES)
      throw new Error(`${path}: has ${file.size} bytes, expected a recording of poses`);
    const bytes = new Uint8Array(await file.arrayBuffer());
    const kind = recordingKind(path, bytes);
    if (kind && !found.has(kind)) found.set(kind, { name: path, bytes });
  }
  const binary = (kind: RecordingKind) => found.get(kind)!;
  const text = (kind: RecordingKind) => {
    const { name, bytes } = binary(kind);
    return { name, text: new TextDecoder().decode(bytes) };
  };
  const both = (cameras: RecordingKind, images: RecordingKind) => {
    if (!found.has(cameras) && !found.has(images)) return false;
    if (found.has(cameras) && found.has(images)) return true;
    const [{ name }] = [found.get(cameras) ?? found.get(images)!];
    throw new Error(`${name}: COLMAP needs both files; drop cameras and images together`);
  };
  for (const kind of ['hamer', 'hot3d-hands'] as const)
    if (found.has(kind)) throw needsMano(binary(kind).name);
  if (found.has('transforms'))
    return drawable(text('transforms').name, readTransforms(text('transforms'), { warn }));
  if (found.has('webxr')) return importWebxr(text('webxr'));
  if (found.has('mediapipe')) return importMediapipe(text('mediapipe'), { rest: REST_HANDS });
  if (both('colmap-cameras-binary', 'colmap-images-binary'))
    return importColmapBinary(binary('colmap-cameras-binary'), binary('colmap-images-binary'), { warn });
  if (both('colmap-cameras', 'colmap-images'))
    return importColmap(text('colmap-cameras'), text('colmap-images'), { warn });
  if (found.has('aria')) return deviceTrajectory(readAriaPath(text('aria')), HEADSET);
  if (found.has('hot3d-headset')) return deviceTrajectory(readHot3dPath(text('hot3d-headset')), HEADSET);
  // A file of ours that is damaged is for its reader to report.
  const [{ path, file }] = files;
  if (/\.json$/i.test(path)) return readTransforms({ name: path, text: await file.text() }, { warn });
  throw new Error(
    `${path}: is no recording that the page knows; expected transforms.json, WebXR, MediaPipe, COLMAP, Aria or HOT3D`,
  );
}

function drawable(name: string, trajectory: Trajectory): Trajectory {
  const hands = trajectory.frames.flatMap((frame) => SIDES.map((side) => frame.hands[side]));
  if (hands.some((hand) => hand?.mano && !hand.joints)) throw needsMano(name);
  return trajectory;
}
