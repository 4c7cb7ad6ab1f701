/** Shapes that tests and benchmarks share: `dims` of `shape` reduced. The last ones take two and three passes. */
export const REDUCE_SHAPES: readonly { shape: readonly number[]; dims: readonly number[] }[] = [
  { shape: [1], dims: [0] },
  { shape: [5, 7], dims: [1] },
  { shape: [7, 5], dims: [0] },
  { shape: [3, 4, 5, 6], dims: [1, 3] },
  { shape: [400, 64], dims: [1] },
  { shape: [2, 3, 9001], dims: [2] },
  { shape: [100, 1024], dims: [0, 1] },
  { shape: [1027, 1025], dims: [0, 1] },
];
