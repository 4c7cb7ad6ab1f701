/**
 * A COLMAP model as a trajectory. An image's pose is world-to-camera in OpenCV axes, its quaternion w first. Reconstructions have no
 * metres, so a scale may be given. Images are frames in order of their names. The two encodings are read by `colmap-text.ts` and
 * `colmap-binary.ts`; points, rigs and frames of newer versions say nothing that is not in the images. Format:
 * colmap.github.io/format.html.
 */
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { type BinaryFile, quote } from '@dwm/core-tensor/files';
import type { Intrinsics } from '../camera/intrinsics.ts';
import { cameraToWorld, fromColmap, inverted, withAxes } from '../camera/pose.ts';
import { byCodePoints } from '../trajectory/code-points.ts';
import type { TextFile } from '../trajectory/fields.ts';
import { FISHEYE, LensCheck, type LensOptions } from '../trajectory/lens.ts';
import { DEFAULT_FPS, type ImportDefaults, NO_HANDS, type Trajectory } from '../trajectory/types.ts';
import { readBinaryCameras, readBinaryImages } from './colmap-binary.ts';
import { pinholePart, USABLE_MODELS } from './colmap-cameras.ts';
import type { ColmapCamera, ColmapImage } from './colmap-model.ts';
import { readTextCameras, readTextImages } from './colmap-text.ts';

/** How a COLMAP reconstruction becomes a trajectory. */
export interface ColmapOptions extends ImportDefaults, LensOptions {
  /** Metres in one unit of the reconstruction; 1 by default. */
  readonly scale?: number;
}

/** `cameras.txt` and `images.txt`. @throws InvalidFileError naming the file, the line and what was expected. */
export function importColmap(cameras: TextFile, images: TextFile, options: ColmapOptions = {}): Trajectory {
  return toTrajectory(
    { name: cameras.name, all: readTextCameras(cameras) },
    { name: images.name, all: readTextImages(images) },
    options,
  );
}

/** `cameras.bin` and `images.bin`. @throws InvalidFileError naming the file, the entry and what was expected. */
export function importColmapBinary(
  cameras: BinaryFile,
  images: BinaryFile,
  options: ColmapOptions = {},
): Trajectory {
  return toTrajectory(
    { name: cameras.name, all: readBinaryCameras(cameras) },
    { name: images.name, all: readBinaryImages(images) },
    options,
  );
}

interface Listed<T> {
  readonly name: string;
  readonly all: readonly T[];
}

function toTrajectory(
  cameras: Listed<ColmapCamera>,
  images: Listed<ColmapImage>,
  options: ColmapOptions,
): Trajectory {
  const scale = options.scale ?? 1;
  if (!(scale > 0 && Number.isFinite(scale)))
    throw new InvalidArgumentError('scale', `${scale}, expected a positive number of metres a unit`);
  const fps = options.fps ?? DEFAULT_FPS;
  const shots = [...images.all].sort((a, b) => byCodePoints(a.name, b.name));
  const intrinsics = usedCameras(cameras, new Set(shots.map(({ cameraId }) => cameraId)), options);
  if (shots.length === 0) throw new InvalidFileError(images.name, 'holds no images, expected at least one');
  const frames = shots.map(({ qvec, tvec, cameraId, where }, i) => {
    const camera = intrinsics.get(cameraId);
    if (!camera)
      throw new InvalidFileError(
        images.name,
        `${where}: camera ${quote(cameraId)} is not in ${cameras.name}`,
      );
    const pose = fromColmap({ qvec, tvec });
    if (!pose) throw new InvalidFileError(images.name, `${where}: the quaternion is zero, expected length 1`);
    const { matrix } = withAxes(inverted(pose), 'opengl');
    const scaled = matrix.map((value, at) => (at % 4 === 3 && at < 12 ? value * scale : value));
    return {
      seconds: i / fps,
      intrinsics: camera,
      camera: cameraToWorld('opengl', scaled),
      hands: NO_HANDS,
    };
  });
  return { fps, frames };
}

/** Cameras that no image was taken with may be of any kind. */
function usedCameras(
  { name, all }: Listed<ColmapCamera>,
  used: ReadonlySet<string>,
  options: ColmapOptions,
): Map<string, Intrinsics> {
  const lenses = new LensCheck(name, options);
  const cameras = new Map<string, Intrinsics>();
  for (const { id, where, model, width, height, params } of all) {
    const bad = (problem: string) => new InvalidFileError(name, `${where}: ${problem}`);
    if (cameras.has(id)) throw bad(`camera ${quote(id)} is there already, expected an id of its own`);
    if (!model.lens) {
      if (!used.has(id)) continue;
      throw bad(`camera model ${model.name}, expected one of ${USABLE_MODELS.join(', ')}: ${FISHEYE}`);
    }
    const camera = pinholePart(model, width, height, params);
    if (!camera) throw bad('expected a size of 1 to 65536 pixels and a positive focal length');
    if (used.has(id)) lenses.check(camera, model.lens(params.slice(model.focals + 2)), where);
    cameras.set(id, camera);
  }
  lenses.report();
  return cameras;
}
