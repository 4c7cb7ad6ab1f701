/** Shapes that the tests try: `dims` of `shape` reduced. Some take two or three passes. */
export const REDUCE_SHAPES: readonly { shape: readonly number[]; dims: readonly number[] }[] = [
  { shape: [1], dims: [0] },
  { shape: [5, 7], dims: [1] },
  { shape: [7, 5], dims: [0] },
  { shape: [3, 4, 5, 6], dims: [1, 3] },
  { shape: [400, 64], dims: [1] },
  { shape: [2, 3, 9001], dims: [2] },
  { shape: [100, 1024], dims: [0, 1] },
  { shape: [1027, 1025], dims: [0, 1] },
  { shape: [2, 600, 12], dims: [1] },
  { shape: [70_000, 3], dims: [0] },
  { shape: [3, 5, 1, 9, 2], dims: [1, 3] },
];
