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
