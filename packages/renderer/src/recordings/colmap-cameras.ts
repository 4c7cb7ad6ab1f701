/**
 * COLMAP's camera models: what their parameters mean, by name and by the number that binary files have. Every model stands here, so
 * that one which cannot be used is told from damage. Format: colmap.github.io/cameras.html, src/colmap/sensor/models.h.
 */
import type { Intrinsics } from '../camera/intrinsics.ts';
import { divisionLens, type Lens, openCvLens } from '../trajectory/lens.ts';

export interface CameraModel {
  readonly name: string;
  /** Numbers after width and height. */
  readonly count: number;
  /** How many of them are focal lengths: f, or fx fy; cx cy follow. */
  readonly focals: 1 | 2;
  /** From the numbers after cx cy; `undefined` for what a pinhole cannot stand for. */
  readonly lens?: (extra: readonly number[]) => Lens;
}

const model = (
  name: string,
  count: number,
  focals: 1 | 2,
  lens?: (extra: readonly number[]) => Lens,
): CameraModel => ({
  name,
  count,
  focals,
  lens,
});

/** At the index that is its id. */
export const CAMERA_MODELS: readonly CameraModel[] = [
  model('SIMPLE_PINHOLE', 3, 1, () => openCvLens({})),
  model('PINHOLE', 4, 2, () => openCvLens({})),
  model('SIMPLE_RADIAL', 4, 1, (k) => openCvLens({ k })),
  model('RADIAL', 5, 1, (k) => openCvLens({ k })),
  model('OPENCV', 8, 2, ([k1, k2, ...p]) => openCvLens({ k: [k1, k2], p })),
  model('OPENCV_FISHEYE', 8, 2),
  model('FULL_OPENCV', 12, 2, ([k1, k2, p1, p2, ...k]) => openCvLens({ k: [k1, k2, ...k], p: [p1, p2] })),
  model('FOV', 5, 2),
  model('SIMPLE_RADIAL_FISHEYE', 4, 1),
  model('RADIAL_FISHEYE', 5, 1),
  model('THIN_PRISM_FISHEYE', 12, 2),
  model('RAD_TAN_THIN_PRISM_FISHEYE', 16, 2),
  model('SIMPLE_DIVISION', 4, 1, ([k]) => divisionLens(k)),
  model('DIVISION', 5, 2, ([k]) => divisionLens(k)),
  model('SIMPLE_FISHEYE', 3, 1),
  model('FISHEYE', 4, 2),
  model('EUCM', 6, 2),
  model('EQUIRECTANGULAR', 2, 2),
];

/** Models whose pinhole part can be used. */
export const USABLE_MODELS = CAMERA_MODELS.filter(({ lens }) => lens).map(({ name }) => name);

/** @returns undefined unless the size is one of pictures, and the focal lengths are positive. */
export function pinholePart(
  { focals }: CameraModel,
  width: number,
  height: number,
  params: readonly number[],
): Intrinsics | undefined {
  const sized = [width, height].every((size) => Number.isInteger(size) && size > 0 && size <= 65536);
  const [fx, fy] = [params[0], params[focals - 1]];
  const [cx, cy] = params.slice(focals);
  if (!sized || !params.every(Number.isFinite) || !(fx > 0 && fy > 0)) return undefined;
  return { fx, fy, cx, cy, width, height };
}
