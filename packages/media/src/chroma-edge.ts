/**
 * Pictures of odd size with halved chroma have one chroma sample more than half of that size: 24 for 47 columns. The
 * decoder for Node hands over 23. Its own RGB does have the last column and row, by BT.601 limited range whatever the
 * file says, so what is missing is found from that and from the luma, to a step or two. Where RGB is at its bounds and
 * says nothing, the chroma beside it is taken.
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
  /** Of what is known, in codes of 8 bits: what is next to the missing sample. */
  const beside = (row: number, column: number): Chroma => {
    const at = Math.min(row, knownDown - 1) * across + Math.min(column, knownAcross - 1);
    return knownDown > 0 && knownAcross > 0 ? [cb[at] / scale, cr[at] / scale] : [128, 128];
  };
  const seen = (row: number, column: number): Seen => {
    const at = row * rgb.stride + column * 4;
    const luma = y[row * planes.yStride + column] / scale;
    return { light: (255 / 219) * (luma - 16), rgb: rgb.data.subarray(at, at + 3) };
  };
  if (across > knownAcross) {
    const line = Array.from({ length: height }, (_, row) => seen(row, width - 1));
    const guess = Array.from({ length: down }, (_, row) => beside(row, across - 1));
    for (const [row, chroma] of unmix(line, guess, shiftY).entries()) put(row * across + across - 1, chroma);
  }
  if (down > knownDown) {
    const line = Array.from({ length: width }, (_, column) => seen(height - 1, column));
    const guess = Array.from({ length: across }, (_, column) => beside(down - 1, column));
    for (const [column, chroma] of unmix(line, guess, shiftX).entries())
      put((down - 1) * across + column, chroma);
  }
  return { ...planes, u: cb, v: cr, uStride: across, vStride: across, step: 1 };
}

type Chroma = readonly [cb: number, cr: number];

/** A pixel of the decoder's RGB, and what R, G and B would be without chroma. */
interface Seen {
  readonly light: number;
  readonly rgb: Uint8Array;
}

/** The decoder's RGB is cut off, not rounded. */
const CUT = 0.9;

/** What Cb and Cr, less 128, add to R, G and B. */
const SHARES: readonly Chroma[] = [
  [0, 1.59603],
  [-0.39176, -0.81297],
  [2.01723, 0],
];

/** How much a guess counts beside what is seen: it decides where nothing else does. */
const GUESS_WEIGHT = 0.02;

/** Enough for what one sample tells the next. */
const ROUNDS = 12;

/**
 * The chroma samples behind what is seen along a row or column, by least squares. Of an even number of pixels each
 * pair shows one sample; to an odd one they are resampled, and each pixel shows a mix of two neighbours. A value at
 * its bounds counts only where the samples would bring it off them.
 * @param guess [samples] of 8 bits.
 */
function unmix(seen: readonly Seen[], guess: readonly Chroma[], halved: number): Chroma[] {
  const [pixels, count] = [seen.length, guess.length];
  const place = (pixel: number) =>
    pixels % 2 === 0 || !halved
      ? pixel >> halved
      : Math.max(0, Math.min(count - 1, ((pixel + 0.5) * count) / pixels - 0.5));
  const shares: { pixel: number; share: number; other: number }[][] = guess.map(() => []);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const [low, high] = [Math.floor(place(pixel)), Math.ceil(place(pixel))];
    const share = place(pixel) - low;
    shares[low].push({ pixel, share: 1 - share, other: high });
    if (high > low) shares[high].push({ pixel, share, other: low });
  }
  const samples = guess.map(([cb, cr]) => [cb - 128, cr - 128]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, [guessCb, guessCr]] of guess.entries()) {
      // Normal equations of this sample, with its neighbours as they are.
      let [bb, br, rr] = [GUESS_WEIGHT, 0, GUESS_WEIGHT];
      let [b, r] = [GUESS_WEIGHT * (guessCb - 128), GUESS_WEIGHT * (guessCr - 128)];
      for (const { pixel, share, other } of shares[at]) {
        const { light, rgb } = seen[pixel];
        for (const [channel, [ofCb, ofCr]] of SHARES.entries()) {
          const value = rgb[channel];
          const rest = (1 - share) * (ofCb * samples[other][0] + ofCr * samples[other][1]);
          const shown = light + rest + share * (ofCb * samples[at][0] + ofCr * samples[at][1]);
          if ((value === 0 && shown <= 0) || (value === 255 && shown >= 255)) continue;
          const wanted = value + (value > 0 && value < 255 ? CUT : 0) - light - rest;
          bb += (share * ofCb) ** 2;
          br += share * share * ofCb * ofCr;
          rr += (share * ofCr) ** 2;
          b += share * ofCb * wanted;
          r += share * ofCr * wanted;
        }
      }
      const determinant = bb * rr - br * br;
      samples[at] = [(b * rr - r * br) / determinant, (r * bb - b * br) / determinant];
    }
  }
  return samples.map(([cb, cr]) => [cb + 128, cr + 128]);
}
