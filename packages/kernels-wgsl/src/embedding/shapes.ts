/** Sizes of an embedding. */
export interface EmbeddingShape {
  /** Number of indices. */
  readonly count: number;
  readonly vocabulary: number;
  readonly channels: number;
}

/** Shapes that the tests try: odd sizes, then a text encoder's tokens and position buckets. */
export const EMBEDDING_SHAPES: readonly EmbeddingShape[] = [
  { count: 1, vocabulary: 1, channels: 1 },
  { count: 7, vocabulary: 5, channels: 3 },
  { count: 226, vocabulary: 999, channels: 128 },
  { count: 1000, vocabulary: 32, channels: 64 },
];
