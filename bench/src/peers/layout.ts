/** Transposition on the host, for peers that want another layout than channels-last. */

/** Dimension d of the result is dimension `order[d]` of `data`. */
export function transpose(
  data: Float32Array,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((product, size) => product * size, 1));
  const sizes = order.map((d) => shape[d]);
  const steps = order.map((d) => strides[d]);
  const out = new Float32Array(data.length);
  const index = sizes.map(() => 0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from];
    for (let d = sizes.length - 1; d >= 0; d--) {
      from += steps[d];
      if (++index[d] < sizes[d]) break;
      from -= steps[d] * sizes[d];
      index[d] = 0;
    }
  }
  return out;
}

/** The cached frames and then those of x, as one clip: what a convolution with taps in time looks at. */
export function withPast(x: Float32Array, cache: Float32Array | undefined): Float32Array {
  if (!cache) return x;
  const out = new Float32Array(cache.length + x.length);
  out.set(cache);
  out.set(x, cache.length);
  return out;
}
