/** Shapes that the tests try: odd ones, and the model's own scaled down. */
export const MATMUL_SHAPES: readonly { batch: number; m: number; n: number; k: number }[] = [
  { batch: 1, m: 1, n: 1, k: 1 },
  { batch: 1, m: 5, n: 7, k: 3 },
  { batch: 2, m: 33, n: 31, k: 65 },
  { batch: 1, m: 2, n: 384, k: 64 },
  { batch: 3, m: 44, n: 64, k: 64 },
  { batch: 1, m: 67, n: 130, k: 196 },
  { batch: 1, m: 226, n: 64, k: 250 },
  { batch: 1, m: 128, n: 256, k: 128 },
];
