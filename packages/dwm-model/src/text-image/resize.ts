/**
 * Pillow's bicubic resizing of 8-bit pictures (`Resample.c`), bit for bit, because CLIP was trained on its results: the
 * kernel (a = -0.5) is widened where the picture shrinks, its weights are rounded to 22 bits, columns come before rows,
 * and what lies between is 8 bits again.
 */
import { axisTaps, resampleAxis } from '../video/resample.ts';

const SUPPORT = 2;
const ONE = 2 ** 22;

interface Picture {
  /** [height, width, 3]. */
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
}

function bicubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/** @param data [rows, length, inner]. @returns [rows, to, inner]. */
function along(data: Uint8Array, rows: number, length: number, inner: number, to: number): Uint8Array {
  if (length === to) return data;
  const taps = axisTaps(length, to, SUPPORT, bicubic).map(({ first, weights }) => ({
    first,
    weights: weights.map((weight) => Math.trunc(weight * ONE + (weight < 0 ? -0.5 : 0.5))),
  }));
  const out = new Uint8Array(rows * to * inner);
  return resampleAxis(data, length, inner, taps, out, ONE / 2, (sum) =>
    Math.min(255, Math.max(0, Math.floor(sum / ONE))),
  );
}

export function resizeBicubic(picture: Picture, height: number, width: number): Picture {
  const columns = along(picture.data, picture.height, picture.width, 3, width);
  return { data: along(columns, 1, picture.height, 3 * width, height), height, width };
}
