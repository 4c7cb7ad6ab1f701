/**
 * Lenses that bend the picture. What is drawn is a pinhole's picture, so of a lens only its pinhole part can be used. How far that is from
 * the truth is the largest distance, over the whole picture, between where the lens and where the pinhole put a point. Up to 1% of
 * the diagonal (9 pixels of 720x480, about one pixel of the model's latents) it is left out with a warning; more must be asked for. Fisheyes have no pinhole part.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { Intrinsics } from '../camera/intrinsics.ts';

/** By how much a point of the picture is moved; all in focal lengths from the principal point. */
export type Lens = (x: number, y: number) => readonly [dx: number, dy: number];

/** What is done about lenses that are no pinholes. */
export interface LensOptions {
  /** Takes the pinhole part of any lens but a fisheye. */
  readonly ignoreDistortion?: boolean;
  /** Takes lines for people; `console.warn` by default. */
  readonly warn?: (line: string) => void;
}

/** Share of the picture's diagonal. */
const SMALL = 0.01;

/** Points a side of the grid on which a lens is tried; the corners, where most lenses are at their worst, are among them. */
const GRID = 33;

const UNDISTORT = 'undistort the images to a pinhole first (colmap image_undistorter does)';

/** What a reader says of a camera that sees more than a plane can hold. */
export const FISHEYE = `a pinhole camera; ${UNDISTORT}, \`ignoreDistortion\` is of no help with it`;

/**
 * OpenCV's lens: radial = (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6), and tangential p1, p2. All are 0 if left out.
 */
export function openCvLens({ k = [], p = [] }: { k?: readonly number[]; p?: readonly number[] }): Lens {
  const [k1 = 0, k2 = 0, k3 = 0, k4 = 0, k5 = 0, k6 = 0] = k;
  return (x, y) => {
    const r2 = x * x + y * y;
    const over = 1 + r2 * (k1 + r2 * (k2 + r2 * k3));
    return moved(x, y, over / (1 + r2 * (k4 + r2 * (k5 + r2 * k6))) - 1, p);
  };
}

/** nerfstudio's: a polynomial up to k4 r^8 in place of the quotient. */
export function polynomialLens(k: readonly number[], p: readonly number[]): Lens {
  const [k1 = 0, k2 = 0, k3 = 0, k4 = 0] = k;
  return (x, y) => {
    const r2 = x * x + y * y;
    return moved(x, y, r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4))), p);
  };
}

/** Fitzgibbon's division model: the pinhole's point is the lens's over 1 + k r^2. */
export function divisionLens(k: number): Lens {
  return (x, y) => moved(x, y, 1 - 1 / (1 + k * (x * x + y * y)), []);
}

function moved(
  x: number,
  y: number,
  radial: number,
  [p1 = 0, p2 = 0]: readonly number[],
): readonly [number, number] {
  const r2 = x * x + y * y;
  return [
    x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
    y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y),
  ];
}

/** The farthest that the lens moves any point of the picture, in pixels; Infinity where it is no function of the whole picture. */
export function largestShift({ fx, fy, cx, cy, width, height }: Intrinsics, lens: Lens): number {
  let most = 0;
  for (let i = 0; i < GRID; i++)
    for (let j = 0; j < GRID; j++) {
      const [dx, dy] = lens(((i * width) / (GRID - 1) - cx) / fx, ((j * height) / (GRID - 1) - cy) / fy);
      const shift = Math.hypot(dx * fx, dy * fy);
      // NaN too.
      if (!(shift < Number.POSITIVE_INFINITY)) return Number.POSITIVE_INFINITY;
      most = Math.max(most, shift);
    }
  return most;
}

/** Goes through the cameras of one file and says once, at the end, what was left out. */
export class LensCheck {
  readonly #file: string;
  readonly #options: LensOptions;
  #worst?: { readonly shift: number; readonly share: number; readonly where: string };

  constructor(file: string, options: LensOptions) {
    this.#file = file;
    this.#options = options;
  }

  /**
   * @param where the field or line, for messages.
   * @throws InvalidFileError for a lens that bends the picture by more than a little, unless that was asked for.
   */
  check(camera: Intrinsics, lens: Lens, where: string): void {
    const shift = largestShift(camera, lens);
    const share = shift / Math.hypot(camera.width, camera.height);
    if (share > SMALL && !this.#options.ignoreDistortion) {
      throw new InvalidFileError(
        this.#file,
        `${where}: its lens ${describe(shift, share)}, expected at most ${percent(SMALL)}: ${UNDISTORT}, or take its pinhole part with \`ignoreDistortion\``,
        { where, pixels: shift, share, maxShare: SMALL },
      );
    }
    if (shift > 0 && !(this.#worst && this.#worst.shift >= shift)) this.#worst = { shift, share, where };
  }

  /** Warns of the worst lens that was let through. */
  report(): void {
    if (!this.#worst) return;
    const { shift, share, where } = this.#worst;
    const { ignoreDistortion, warn = console.warn } = this.#options;
    const why = share > SMALL && ignoreDistortion ? ', as was asked for' : '';
    warn(
      `${this.#file}: ${where}: its lens ${describe(shift, share)}; that is left out and its pinhole part used${why}`,
    );
  }
}

const percent = (share: number) => `${Number((100 * share).toPrecision(2))}%`;

function describe(pixels: number, share: number): string {
  if (pixels === Number.POSITIVE_INFINITY) return 'folds the picture over';
  return `moves points by up to ${Number(pixels.toPrecision(2))} pixels, ${percent(share)} of the picture's diagonal`;
}
