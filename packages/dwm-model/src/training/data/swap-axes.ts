/** [first, second, inner] to [second, first, inner]: channels before frames, or frames before channels. */
export function swapAxes(values: Float32Array, first: number, second: number): Float32Array {
  const inner = values.length / (first * second);
  const out = new Float32Array(values.length);
  for (let a = 0; a < first; a++) {
    for (let b = 0; b < second; b++) {
      const from = (a * second + b) * inner;
      out.set(values.subarray(from, from + inner), (b * first + a) * inner);
    }
  }
  return out;
}
