/**
 * Pictures of odd size with halved chroma have one chroma sample more than half of that size: 24 for 47 columns. The
 * decoder for Node hands over 23. Its own RGB does have the last column and row, by BT.601 limited range whatever the
 * file says, so what is missing is found from that and from the luma, to a step or two.
 */
import type { YuvPlanes } from './color.ts';

/** RGB of the same picture, four bytes a pixel. */
export interface PackedRgb {
  readonly data: Uint8Array;
  readonly stride: number;
}

/** Chroma samples that a picture has across or down. */
const samplesOf = (pixels: number, shift: number) => (pixels + shift) >> shift;

/** What the decoder hands over. */
const handedOver = (pixels: number, shift: number) => pixels >> shift;

/** Whether a plane of this many samples a row lacks the last. */
export function lacksChroma(
  { shiftX, shiftY, uStride, step }: YuvPlanes,
  height: number,
  width: number,
  chromaSamples: number,
): boolean {
  const [across, down] = [samplesOf(width, shiftX), samplesOf(height, shiftY)];
  return uStride < across * step || chromaSamples < (down - 1) * uStride + across * step;
}

/** Both chroma planes with the last column and row. */
export function completeChroma(planes: YuvPlanes, height: number, width: number, rgb: PackedRgb): YuvPlanes {
  const { y, u, v, shiftX, shiftY, step, bitDepth } = planes;
  const [across, down] = [samplesOf(width, shiftX), samplesOf(height, shiftY)];
  const [knownAcross, knownDown] = [handedOver(width, shiftX), handedOver(height, shiftY)];
  const scale = 2 ** (bitDepth - 8);
  const cb = y.slice(0, across * down);
  const cr = y.slice(0, across * down);
  for (let row = 0; row < knownDown; row++) {
    for (let column = 0; column < knownAcross; column++) {
      cb[row * across + column] = u[row * planes.uStride + column * step];
      cr[row * across + column] = v[row * planes.vStride + column * step];
    }
  }
  const put = (at: number, [b, r]: Chroma) => {
    const code = (value: number) => Math.max(0, Math.min(2 ** bitDepth - 1, Math.round(value * scale)));
    cb[at] = code(b);
    cr[at] = code(r);
  };
  const seen = (row: number, column: number) => {
    const at = row * rgb.stride + column * 4;
    return chromaOf(
      y[row * planes.yStride + column] / scale,
      rgb.data[at],
      rgb.data[at + 1],
      rgb.data[at + 2],
    );
  };
  const [lastColumn, lastRow] = [width - 1, height - 1];
  if (across > knownAcross) {
    const line = Array.from({ length: height }, (_, row) => seen(row, lastColumn));
    for (const [row, chroma] of unmix(line, down, shiftY).entries()) put(row * across + across - 1, chroma);
  }
  if (down > knownDown) {
    const line = Array.from({ length: width }, (_, column) => seen(lastRow, column));
    const row = unmix(line, across, shiftX);
    for (let column = 0; column < knownAcross; column++) put((down - 1) * across + column, row[column]);
    if (across > knownAcross) put(down * across - 1, line[lastColumn]);
  }
  return { ...planes, u: cb, v: cr, uStride: across, vStride: across, step: 1 };
}

type Chroma = readonly [cb: number, cr: number];

/** The decoder's RGB is cut off, not rounded. */
const CUT = 0.9;

/** Chroma codes that make this RGB of this luma; a value at its bounds says little, and green says the rest. */
function chromaOf(luma: number, red: number, green: number, blue: number): Chroma {
  const light = (255 / 219) * (luma - 16);
  const inside = (value: number) => value > 0 && value < 255;
  let cr = (red + CUT - light) / 1.59603;
  let cb = (blue + CUT - light) / 2.01723;
  if (inside(green)) {
    if (!inside(red) && inside(blue)) cr = (light - green - CUT - 0.39176 * cb) / 0.81297;
    if (!inside(blue) && inside(red)) cb = (light - green - CUT - 0.81297 * cr) / 0.39176;
  }
  return [128 + cb, 128 + cr];
}

/**
 * The chroma samples behind what is seen along a row or column. Of an even number of pixels each pair shows one
 * sample; to an odd one they are resampled, and each pixel shows a mix of two neighbours.
 */
function unmix(seen: readonly Chroma[], count: number, halved: number): Chroma[] {
  const pixels = seen.length;
  const place = (pixel: number) =>
    pixels % 2 === 0 || !halved ? pixel >> halved : ((pixel + 0.5) * count) / pixels - 0.5;
  const nearest = Array.from({ length: count }, (_, sample) => {
    const near = [2 * sample - 1, 2 * sample, 2 * sample + 1].filter((pixel) => pixel >= 0 && pixel < pixels);
    return halved
      ? near.reduce((a, b) => (Math.abs(place(b) - sample) < Math.abs(place(a) - sample) ? b : a))
      : sample;
  });
  let samples = nearest.map((pixel) => seen[pixel]);
  for (let round = 0; round < 4; round++) {
    samples = samples.map((_, sample) => {
      const off = place(nearest[sample]) - sample;
      const share = Math.min(0.5, Math.abs(off));
      const other = samples[Math.max(0, Math.min(count - 1, sample + Math.sign(off)))];
      const [cb, cr] = seen[nearest[sample]];
      return [(cb - share * other[0]) / (1 - share), (cr - share * other[1]) / (1 - share)];
    });
  }
  return samples;
}
