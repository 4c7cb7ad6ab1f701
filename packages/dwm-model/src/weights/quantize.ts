/**
 * Weights to whole numbers with scales, by rows:
 *
 *     int8     q = round(w / s) from -127 to 127, s = max |w| / 127 over a row
 *     int4     from -8 to 7 in groups; of several scales near max |w| / 8, of the sign of that w, the one that errs least
 */

export interface QuantizedRows {
  /** One byte a number, or for int4 two, the lower half first, counted from -8 as compressed-tensors does. */
  readonly numbers: Uint8Array;
  readonly scales: Float32Array;
  /** Sums over all weights of (w - s q)^2, and of w^2. */
  readonly errors: number;
  readonly squares: number;
}

/** @throws RangeError for a weight that is no finite number. */
export function quantizeInt8(values: Float32Array, rowLength: number): QuantizedRows {
  const numbers = new Int8Array(values.length);
  const scales = new Float32Array(values.length / rowLength);
  let errors = 0;
  let squares = 0;
  for (let row = 0, start = 0; row < scales.length; row++, start += rowLength) {
    const most = largest(values, start, start + rowLength);
    const scale = Math.fround(Math.abs(most) / 127);
    scales[row] = scale;
    const per = scale > 0 ? 1 / scale : 0;
    for (let i = start; i < start + rowLength; i++) {
      const value = values[i];
      const q = Math.max(-127, Math.min(127, Math.round(value * per)));
      numbers[i] = q;
      squares += value * value;
      errors += (value - q * scale) ** 2;
    }
  }
  return { numbers: new Uint8Array(numbers.buffer), scales, errors, squares };
}

/** The largest magnitude, with its sign. */
function largest(values: Float32Array, start: number, end: number): number {
  let most = 0;
  for (let i = start; i < end; i++) {
    // What is no number is larger than nothing, and is found by the sum.
    if (Math.abs(values[i]) > Math.abs(most)) most = values[i];
    else if (Number.isNaN(values[i])) throw new RangeError('a weight is not a number');
  }
  if (!Number.isFinite(most)) throw new RangeError('a weight is infinite');
  return most;
}

/** Shares of max |w| / 8 that are tried. */
const SHARES = [1, 0.95, 0.9, 0.85, 0.8, 1.07];

/** Rounds to the nearest f16, as scales are kept: to 11 bits, or to a multiple of its smallest number. */
function toHalf(value: number): number {
  if (Math.abs(value) < 2 ** -14) return Math.round(value * 2 ** 24) * 2 ** -24;
  const high = value * (2 ** 42 + 1);
  return high - (high - value);
}

/** @throws RangeError for a weight that is no finite number. */
export function quantizeInt4(values: Float32Array, groupSize: number): QuantizedRows {
  const numbers = new Uint8Array(values.length / 2);
  const scales = new Float32Array(values.length / groupSize);
  let errors = 0;
  let squares = 0;
  const codes = new Uint8Array(groupSize);
  const best = new Uint8Array(groupSize);
  for (let group = 0, start = 0; group < scales.length; group++, start += groupSize) {
    const most = largest(values, start, start + groupSize);
    let least = Number.POSITIVE_INFINITY;
    for (const share of SHARES) {
      const scale = toHalf((share * most) / -8);
      const per = scale === 0 ? 0 : 1 / scale;
      let error = 0;
      for (let i = 0; i < groupSize; i++) {
        const value = values[start + i];
        const q = Math.max(-8, Math.min(7, Math.round(value * per)));
        codes[i] = q + 8;
        error += (value - q * scale) ** 2;
      }
      if (error < least) {
        least = error;
        scales[group] = scale;
        best.set(codes);
      }
      if (most === 0) break;
    }
    errors += least;
    for (let i = start; i < start + groupSize; i++) squares += values[i] * values[i];
    for (let i = 0; i < groupSize; i += 2) numbers[(start + i) / 2] = best[i] | (best[i + 1] << 4);
  }
  return { numbers, scales, errors, squares };
}
