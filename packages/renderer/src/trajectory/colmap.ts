/**
 * COLMAP's text model: `cameras.txt` and `images.txt`. An image's pose is world-to-camera in OpenCV axes, its
 * quaternion w first. Reconstructions have no metres, so a scale may be given. Images are frames in order of their
 * names. Format: colmap.github.io/format.html.
 */
import { InvalidArgumentError, InvalidFileError, quote } from '@dwm/core-tensor';
import type { Intrinsics } from '../camera/intrinsics.ts';
import { cameraToWorld, fromColmap, inverted, withAxes } from '../camera/pose.ts';
import { byCodePoints } from './code-points.ts';
import type { TextFile } from './fields.ts';

import { DEFAULT_FPS, type ImportDefaults, NO_HANDS, type Trajectory } from './types.ts';

export interface ColmapOptions extends ImportDefaults {
  /** Metres in one unit of the reconstruction; 1 by default. */
  readonly scale?: number;
}

/** Where f or fx fy, cx, cy stand among a model's parameters; what follows is distortion. */
const MODELS: Record<string, { count: number; pinhole: (p: number[]) => [number, number, number, number] }> =
  {
    SIMPLE_PINHOLE: { count: 3, pinhole: ([f, cx, cy]) => [f, f, cx, cy] },
    PINHOLE: { count: 4, pinhole: ([fx, fy, cx, cy]) => [fx, fy, cx, cy] },
    SIMPLE_RADIAL: { count: 4, pinhole: ([f, cx, cy]) => [f, f, cx, cy] },
    RADIAL: { count: 5, pinhole: ([f, cx, cy]) => [f, f, cx, cy] },
    OPENCV: { count: 8, pinhole: ([fx, fy, cx, cy]) => [fx, fy, cx, cy] },
    FULL_OPENCV: { count: 12, pinhole: ([fx, fy, cx, cy]) => [fx, fy, cx, cy] },
  };

const ONE_FOCAL = ['SIMPLE_PINHOLE', 'SIMPLE_RADIAL', 'RADIAL'];

/** @throws InvalidFileError naming the file, the line and what was expected. */
export function importColmap(cameras: TextFile, images: TextFile, options: ColmapOptions = {}): Trajectory {
  const scale = options.scale ?? 1;
  if (!(scale > 0 && Number.isFinite(scale)))
    throw new InvalidArgumentError('scale', `${scale}, expected a positive number of metres a unit`);
  const fps = options.fps ?? DEFAULT_FPS;
  const intrinsics = readCameras(cameras);
  const shots = readImages(images).sort((a, b) => byCodePoints(a.name, b.name));
  if (shots.length === 0) throw new InvalidFileError(images.name, 'holds no images, expected at least one');
  const frames = shots.map(({ matrix, cameraId, where }, i) => {
    const camera = intrinsics.get(cameraId);
    if (!camera)
      throw new InvalidFileError(
        images.name,
        `${where}: camera ${quote(cameraId)} is not in ${cameras.name}`,
      );
    const scaled = matrix.map((value, at) => (at % 4 === 3 && at < 12 ? value * scale : value));
    const pose = cameraToWorld('opengl', scaled);
    return { seconds: i / fps, intrinsics: camera, camera: pose, hands: NO_HANDS };
  });
  return { fps, frames };
}

const lines = (file: TextFile) => file.text.split(/\r?\n/);
const skipped = (line: string) => line.trim() === '' || line.trimStart().startsWith('#');

function readCameras(file: TextFile): Map<string, Intrinsics> {
  const cameras = new Map<string, Intrinsics>();
  lines(file).forEach((line, i) => {
    if (skipped(line)) return;
    const [id, model, ...words] = line.trim().split(/\s+/);
    const bad = (problem: string) => new InvalidFileError(file.name, `line ${i + 1}: ${problem}`);
    const layout = Object.hasOwn(MODELS, model ?? '') ? MODELS[model] : undefined;
    if (!layout)
      throw bad(`camera model ${quote(model ?? '')}, expected one of ${Object.keys(MODELS).join(', ')}`);
    const numbers = words.map(Number);
    if (numbers.length !== layout.count + 2 || !numbers.every(Number.isFinite))
      throw bad(`expected CAMERA_ID ${model} WIDTH HEIGHT and ${layout.count} numbers`);
    const [width, height, ...params] = numbers;
    const sized = [width, height].every((size) => Number.isInteger(size) && size > 0 && size <= 65536);
    const [fx, fy, cx, cy] = layout.pinhole(params);
    if (!sized || fx <= 0 || fy <= 0)
      throw bad('expected a size of 1 to 65536 pixels and a positive focal length');
    const distortion = params.slice(ONE_FOCAL.includes(model) ? 3 : 4);
    if (distortion.some((value) => value !== 0))
      throw bad(`distortion ${distortion.join(' ')}, expected 0: undistort the images first`);
    cameras.set(id, { fx, fy, cx, cy, width, height });
  });
  return cameras;
}

function readImages(file: TextFile) {
  const images: { name: string; cameraId: string; matrix: Float64Array; where: string }[] = [];
  const all = lines(file);
  for (let i = 0; i < all.length; i++) {
    if (skipped(all[i])) continue;
    const where = `line ${i + 1}`;
    const match = /^\s*\S+((?:\s+\S+){7})\s+(\S+)\s+(\S.*)$/.exec(all[i]);
    const numbers = match?.[1].trim().split(/\s+/).map(Number);
    if (!match || !numbers?.every(Number.isFinite))
      throw new InvalidFileError(
        file.name,
        `${where}: expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME`,
      );
    const [qw, qx, qy, qz, x, y, z] = numbers;
    const pose = fromColmap({ qvec: [qw, qx, qy, qz], tvec: [x, y, z] });
    if (!pose) throw new InvalidFileError(file.name, `${where}: the quaternion is zero, expected length 1`);
    const { matrix } = withAxes(inverted(pose), 'opengl');
    images.push({ name: match[3].trimEnd(), cameraId: match[2], matrix, where });
    // The image's second line lists its points; it may be empty, and is none of ours either way.
    i++;
  }
  return images;
}
