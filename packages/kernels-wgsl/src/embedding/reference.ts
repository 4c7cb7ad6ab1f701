/** Rows of a table by index, out-of-range indices taking the last. */
export const embeddingReference = (
  ids: ArrayLike<number>,
  table: ArrayLike<number>,
  channels: number,
): Float64Array =>
  Float64Array.from({ length: ids.length * channels }, (_, i) => {
    const row = Math.min(ids[Math.floor(i / channels)], table.length / channels - 1);
    return table[row * channels + (i % channels)];
  });

/** Gradient of the table for the gradient `g` of the rows taken. */
export function embeddingBackwardReference(
  ids: ArrayLike<number>,
  g: ArrayLike<number>,
  vocabulary: number,
): Float64Array {
  const channels = g.length / ids.length;
  const out = new Float64Array(vocabulary * channels);
  for (let n = 0; n < ids.length; n++)
    for (let c = 0; c < channels; c++)
      out[Math.min(ids[n], vocabulary - 1) * channels + c] += g[n * channels + c];
  return out;
}
