/**
 * Pillow's bicubic resizing of 8-bit pictures (`Resample.c`), bit for bit, because CLIP was trained on its results: the
 * kernel (a = -0.5) is widened where the picture shrinks, its weights are rounded to 22 bits, columns come before rows,
 * and what lies between is 8 bits again.
 */
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

/** Of every output pixel along an axis: the first input pixel under the kernel, and the weights from there on. */
function taps(from: number, to: number): { first: number; weights: number[] }[] {
  const ratio = from / to;
  const stretch = Math.max(1, ratio);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * ratio;
    const first = Math.max(0, Math.trunc(center - SUPPORT * stretch + 0.5));
    const end = Math.min(from, Math.trunc(center + SUPPORT * stretch + 0.5));
    const raw = Array.from({ length: end - first }, (__, k) =>
      bicubic((first + k - center + 0.5) * (1 / stretch)),
    );
    const share = 1 / raw.reduce((a, b) => a + b, 0);
    const weights = raw.map((w) => Math.trunc(w * share * ONE + (w < 0 ? -0.5 : 0.5)));
    return { first, weights };
  });
}

/** @param data [rows, length, inner]. @returns [rows, to, inner]. */
function along(data: Uint8Array, rows: number, length: number, inner: number, to: number): Uint8Array {
  if (length === to) return data;
  const out = new Uint8Array(rows * to * inner);
  const axis = taps(length, to);
  let o = 0;
  for (let row = 0; row < rows; row++) {
    for (const { first, weights } of axis) {
      for (let c = 0; c < inner; c++) {
        let sum = ONE / 2;
        let at = (row * length + first) * inner + c;
        for (const weight of weights) {
          sum += weight * data[at];
          at += inner;
        }
        out[o++] = Math.min(255, Math.max(0, Math.floor(sum / ONE)));
      }
    }
  }
  return out;
}

export function resizeBicubic(picture: Picture, height: number, width: number): Picture {
  const columns = along(picture.data, picture.height, picture.width, 3, width);
  return { data: along(columns, 1, picture.height, 3 * width, height), height, width };
}
