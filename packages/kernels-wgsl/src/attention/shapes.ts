/** Shapes that the tests try. */
export interface AttentionShape {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly headDim: number;
  readonly bias?: readonly number[];
  readonly mask?: boolean;
}

/** Sizes that tests, gradient checks and benchmarks share. */
export const ATTENTION_SHAPES: readonly AttentionShape[] = [
  { batch: 1, queries: 1, keys: 1, heads: 1, headDim: 8 },
  { batch: 2, queries: 7, keys: 33, heads: 3, headDim: 8 },
  { batch: 1, queries: 33, keys: 7, heads: 2, headDim: 16 },
  { batch: 2, queries: 226, keys: 226, heads: 2, headDim: 16 },
  { batch: 1, queries: 300, keys: 226, heads: 4, headDim: 16 },
  { batch: 1, queries: 65, keys: 300, heads: 2, headDim: 36 },
  // The T5 encoder: one bias for the whole batch, no scale.
  { batch: 2, queries: 226, keys: 226, heads: 2, headDim: 64, bias: [1, 2, 226, 226] },
  { batch: 2, queries: 33, keys: 65, heads: 2, headDim: 16, bias: [2, 1, 33, 65] },
  { batch: 2, queries: 33, keys: 65, heads: 2, headDim: 16, bias: [2, 2, 1, 65] },
  { batch: 2, queries: 33, keys: 65, heads: 2, headDim: 16, bias: [33, 65], mask: true },
  { batch: 3, queries: 40, keys: 33, heads: 1, headDim: 16, mask: true },
  { batch: 1, queries: 7, keys: 65, heads: 1, headDim: 128 },
];
