/**
 * T5's relative positions (Raffel et al. 2020, section 2.1): every distance between key and query falls into a
 * bucket, and a bucket has one learned bias per head. Half of the buckets are for keys after the query; in
 * each half the first half has a bucket per distance, the rest grow logarithmically up to the largest distance.
 */

/** Bucket of key position minus query position. */
export function relativePositionBucket(relative: number, buckets: number, maxDistance: number): number {
  const half = Math.floor(buckets / 2);
  const exact = Math.floor(half / 2);
  const base = relative > 0 ? half : 0;
  const distance = Math.abs(relative);
  if (distance < exact) return base + distance;
  // Rounded to float32 where the original is: distances such as 64 lie exactly on the edge of a bucket.
  const { fround, log } = Math;
  const share = fround(fround(log(fround(distance / exact))) / fround(log(maxDistance / exact)));
  const beyond = Math.trunc(fround(share * (half - exact)));
  return base + Math.min(exact + beyond, half - 1);
}

/** Buckets of every (query, key) pair of a sequence, [tokens, tokens]. */
export function bucketTable(tokens: number, buckets: number, maxDistance: number): Uint32Array {
  const byDistance = Array.from({ length: 2 * tokens - 1 }, (_, i) =>
    relativePositionBucket(i - tokens + 1, buckets, maxDistance),
  );
  return Uint32Array.from({ length: tokens * tokens }, (_, i) => {
    const query = Math.floor(i / tokens);
    return byDistance[(i % tokens) - query + tokens - 1];
  });
}
