/**
 * Where each output coordinate samples its input, worked out on the host in the float32 steps of torch's
 * `interpolate` (align_corners false, sizes given), so that indices agree with it to the last one.
 */

export type ResizeMode = 'linear' | 'nearest';

/** The two neighbours along one axis and their weights; nearest has one neighbour of weight 1. */
export interface Sample {
  readonly low: number;
  readonly high: number;
  readonly lowWeight: number;
  readonly highWeight: number;
}

const round = Math.fround;

/** Samples of output coordinates 0 to `to` - 1 on an axis of `from` elements. */
export function axisSamples(from: number, to: number, mode: ResizeMode): Sample[] {
  const scale = round(from / to);
  return Array.from({ length: to }, (_, i) => {
    if (mode === 'nearest' || from === to) {
      const at = from === to ? i : Math.min(Math.floor(round(i * scale)), from - 1);
      return { low: at, high: at, lowWeight: 1, highWeight: 0 };
    }
    const position = Math.max(0, round(round(scale * round(i + 0.5)) - 0.5));
    const low = Math.min(Math.floor(position), from - 1);
    const highWeight = Math.min(Math.max(round(position - low), 0), 1);
    return { low, high: Math.min(low + 1, from - 1), lowWeight: round(1 - highWeight), highWeight };
  });
}

/** All axes' samples after one another, four words each: low, high, bits of both weights. */
export function resizeTable(from: readonly number[], to: readonly number[], mode: ResizeMode): Uint32Array {
  const samples = from.flatMap((size, axis) => axisSamples(size, to[axis], mode));
  const words = new Uint32Array(samples.length * 4);
  const floats = new Float32Array(words.buffer);
  for (const [i, { low, high, lowWeight, highWeight }] of samples.entries()) {
    words.set([low, high], 4 * i);
    floats.set([lowWeight, highWeight], 4 * i + 2);
  }
  return words;
}

/**
 * The adjoint: for each input coordinate of an axis, the output coordinates that sample it, in order, with
 * their weights. Input k's are entries [first[k], first[k + 1]).
 */
export function adjointSamples(
  from: number,
  to: number,
  mode: ResizeMode,
): { first: number[]; entries: { at: number; weight: number }[] } {
  const readers: { at: number; weight: number }[][] = Array.from({ length: from }, () => []);
  for (const [at, { low, high, lowWeight, highWeight }] of axisSamples(from, to, mode).entries()) {
    if (low === high) readers[low].push({ at, weight: lowWeight + highWeight });
    else {
      readers[low].push({ at, weight: lowWeight });
      if (highWeight > 0) readers[high].push({ at, weight: highWeight });
    }
  }
  const first = [0];
  for (const list of readers) first.push(first[first.length - 1] + list.length);
  return { first, entries: readers.flat() };
}

/**
 * All axes' adjoint samples, two words each: first the range of entries of every input coordinate, then the
 * entries, output coordinate and bits of the weight.
 */
export function resizeAdjointTable(
  from: readonly number[],
  to: readonly number[],
  mode: ResizeMode,
): Uint32Array {
  const axes = from.map((size, axis) => adjointSamples(size, to[axis], mode));
  let entriesAt = from.reduce((a, b) => a + b, 0);
  const ranges: number[] = [];
  const entries: number[] = [];
  const word = new Uint32Array(1);
  const float = new Float32Array(word.buffer);
  for (const axis of axes) {
    for (let k = 0; k + 1 < axis.first.length; k++) {
      ranges.push(entriesAt + axis.first[k], entriesAt + axis.first[k + 1]);
    }
    entriesAt += axis.entries.length;
    for (const { at, weight } of axis.entries) {
      float[0] = weight;
      entries.push(at, word[0]);
    }
  }
  return Uint32Array.from([...ranges, ...entries]);
}
