/**
 * The lens of a camera in nerfstudio's and instant-ngp's JSON: `camera_model`, `k1` to `k6`, `p1`, `p2`, or nerfstudio's list
 * `distortion_params` (k1 k2 k3 k4 p1 p2), and every way in which these files say that the camera is a fisheye or sees all around.
 */
import type { Intrinsics } from '../camera/intrinsics.ts';
import { USABLE_MODELS } from '../recordings/colmap-cameras.ts';
import type { Field } from './fields.ts';
import { FISHEYE, type LensCheck, openCvLens, polynomialLens } from './lens.ts';

/** instant-ngp's words for cameras that are no pinholes. */
const FLAGS = ['is_fisheye', 'fisheye', 'latlong', 'equirectangular', 'orthographic'];
/** Its f-theta lens; the numbers may be 0. */
const F_THETA = ['ftheta_p0', 'ftheta_p1'];
/** The division models have no spelling in JSON. */
const MODELS = ['PERSPECTIVE', ...USABLE_MODELS.filter((name) => !name.includes('DIVISION'))];
const COEFFICIENTS = ['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'p1', 'p2'];

/**
 * @param find a field of the camera by its key; a missing one is absent.
 * @throws InvalidFileError for a fisheye, and what `LensCheck.check` throws.
 */
export function checkLens(find: (key: string) => Field, camera: Intrinsics, lenses: LensCheck): void {
  const model = find('camera_model');
  const name = model.absent ? undefined : model.text().toUpperCase();
  if (name !== undefined && !MODELS.includes(name)) throw model.error(FISHEYE);
  for (const key of FLAGS) {
    const flag = find(key);
    if (!flag.absent && flag.value !== false && flag.value !== 0) throw flag.error(FISHEYE);
  }
  for (const key of F_THETA) if (!find(key).absent) throw find(key).error(FISHEYE);

  const list = find('distortion_params');
  if (!list.absent) {
    // Twelve and sixteen are those of FISHEYE624.
    if (list.items().length !== 6) throw list.error(`k1 k2 k3 k4 p1 p2 of ${FISHEYE}`);
    const [k1, k2, k3, k4, p1, p2] = list.numbers(6);
    lenses.check(camera, polynomialLens([k1, k2, k3, k4], [p1, p2]), list.path);
    return;
  }
  const values = COEFFICIENTS.map((key) => (find(key).absent ? 0 : find(key).number()));
  const [k1, k2, k3, k4, k5, k6, p1, p2] = values;
  const first = COEFFICIENTS.find((_, i) => values[i] !== 0);
  if (!first) return;
  // Only OpenCV's full model has more than four radial coefficients, and its k4 stands below the line.
  const full = name === 'FULL_OPENCV' || k5 !== 0 || k6 !== 0;
  const lens = full
    ? openCvLens({ k: [k1, k2, k3, k4, k5, k6], p: [p1, p2] })
    : polynomialLens([k1, k2, k3, k4], [p1, p2]);
  lenses.check(camera, lens, find(first).path);
}
