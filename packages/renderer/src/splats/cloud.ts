/**
 * A cloud of 3D Gaussians, with every file format's encoding undone: linear scales, opacities in [0, 1], unit
 * quaternions, spherical harmonics by coefficient. Readers allocate one with `allocateCloud`, which refuses a
 * count too large to hold, fill it, and pass it through `checkedCloud`, so that everything behind a reader
 * meets finite numbers only.
 */
import { InvalidFileError } from '@dwm/core-tensor';

/** Degree of a splat's spherical harmonics. */
export type ShDegree = 0 | 1 | 2 | 3;

/** Gaussian splats as plain arrays. */
export interface SplatCloud {
  readonly count: number;
  /** Centres, [count, 3], in the file's own axes and unit. */
  readonly positions: Float32Array;
  /** Standard deviations along the three axes, [count, 3], linear, same unit as the positions. */
  readonly scales: Float32Array;
  /** Unit quaternions w x y z, [count, 4]: the axes of the scales to the axes of the positions. */
  readonly rotations: Float32Array;
  /** In [0, 1], [count]. */
  readonly opacities: Float32Array;
  readonly degree: ShDegree;
  /**
   * Spherical harmonics, [count, (degree + 1)^2, 3], constant term first, then by l and m with the signs of the
   * INRIA code: colour = max(0, 0.5 + sum of coefficients times basis), a display value.
   */
  readonly sh: Float32Array;
  /** Trained with opacity compensation (Mip-Splatting), where the file can say so. */
  readonly antialiased: boolean;
}

/** Coefficients a channel of a degree, the constant one included. */
export const shCoefficients = (degree: ShDegree): number => (degree + 1) ** 2;

/** The constant spherical harmonic, sqrt(1 / 4 pi). */
export const SH_C0 = 0.28209479177387814;

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Within Node's default heap limits, and within the 2 GB a browser tab surely has. */
const MAX_BYTES = 1.5 * 2 ** 30;
/** Beyond this a number is damage; below it, all sums and products of the projection stay finite. */
const LARGEST = 1e9;

export interface WarnOption {
  /** Takes lines for people; `console.warn` by default. */
  readonly warn?: (line: string) => void;
}

/**
 * An empty cloud of `count` splats.
 * @param workBytes what the reader itself holds per splat while it fills the cloud.
 * @throws InvalidFileError when there is nothing in it, or more than memory can be expected to hold.
 */
export function allocateCloud(
  file: string,
  count: number,
  degree: ShDegree,
  { workBytes = 0, antialiased = false } = {},
): SplatCloud {
  if (count === 0) throw new InvalidFileError(file, 'holds no splats', { count });
  const coefficients = 3 * shCoefficients(degree);
  const bytes = count * (4 * (3 + 3 + 4 + 1 + coefficients) + workBytes);
  if (bytes > MAX_BYTES) {
    throw new InvalidFileError(
      file,
      `${count} splats of degree ${degree} take ${(bytes / 2 ** 30).toFixed(1)} GiB, expected at most ` +
        `${MAX_BYTES / 2 ** 30} GiB: thin the cloud out or drop its higher harmonics`,
      { count, degree, bytes, maxBytes: MAX_BYTES },
    );
  }
  return {
    count,
    positions: new Float32Array(3 * count),
    scales: new Float32Array(3 * count),
    rotations: new Float32Array(4 * count),
    opacities: new Float32Array(count),
    degree,
    sh: new Float32Array(coefficients * count),
    antialiased,
  };
}

/**
 * Normalises the quaternions in place (one of no length turns into no rotation) and leaves out the splats that hold a
 * number that is none, infinite or beyond 1e9: trainers write a few, and one says nothing of the others. How many they are is said in
 * one line.
 * @throws InvalidFileError where no splat is left.
 */
export function checkedCloud(
  file: string,
  cloud: SplatCloud,
  { warn = console.warn }: WarnOption,
): SplatCloud {
  const { count } = cloud;
  const fields: readonly (readonly [name: string, values: Float32Array])[] = [
    ['position', cloud.positions],
    ['scale', cloud.scales],
    ['rotation', cloud.rotations],
    ['opacity', cloud.opacities],
    ['spherical harmonics', cloud.sh],
  ];
  const damaged = new Uint8Array(count);
  let first: { splat: number; field: string; value: number } | undefined;
  for (const [field, values] of fields) {
    const width = values.length / count;
    for (let i = 0; i < values.length; i++) {
      if (Math.abs(values[i]) <= LARGEST) continue;
      const splat = Math.floor(i / width);
      damaged[splat] = 1;
      if (!first || splat < first.splat) first = { splat, field, value: values[i] };
    }
  }
  const kept = first ? withoutDamaged(cloud, damaged) : cloud;
  if (first) {
    const { splat, field, value } = first;
    const told = `splat ${splat}: ${field} is ${value}, expected a number within ±1e9`;
    if (kept.count === 0)
      throw new InvalidFileError(file, `${told}, and so on: no splat is whole, export it again`, first);
    warn(`${file}: ${count - kept.count} of ${count} splats are damaged and left out (${told})`);
  }
  normalise(kept.rotations);
  return kept;
}

/** The splats that are not marked, moved together in the same memory. */
function withoutDamaged(cloud: SplatCloud, damaged: Uint8Array): SplatCloud {
  const keep = damaged.reduce((sum, bad) => sum + 1 - bad, 0);
  const together = (values: Float32Array): Float32Array => {
    const width = values.length / damaged.length;
    let to = 0;
    for (let splat = 0; splat < damaged.length; splat++) {
      if (damaged[splat]) continue;
      if (to !== splat) values.copyWithin(to * width, splat * width, (splat + 1) * width);
      to++;
    }
    return values.subarray(0, keep * width);
  };
  return {
    ...cloud,
    count: keep,
    positions: together(cloud.positions),
    scales: together(cloud.scales),
    rotations: together(cloud.rotations),
    opacities: together(cloud.opacities),
    sh: together(cloud.sh),
  };
}

function normalise(rotations: Float32Array): void {
  for (let i = 0; i < rotations.length; i += 4) {
    const length = Math.hypot(rotations[i], rotations[i + 1], rotations[i + 2], rotations[i + 3]);
    if (length > 0) for (let k = i; k < i + 4; k++) rotations[k] /= length;
    else rotations[i] = 1;
  }
}
