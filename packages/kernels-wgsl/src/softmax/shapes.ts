/** Shapes that the tests try: odd sizes, then those of attention weights and of a long row. */
export const SOFTMAX_SHAPES: readonly { rows: number; columns: number }[] = [
  { rows: 3, columns: 1 },
  { rows: 5, columns: 7 },
  { rows: 131, columns: 33 },
  { rows: 1, columns: 4 },
  { rows: 70, columns: 226 },
  { rows: 33, columns: 1024 },
  { rows: 17, columns: 2051 },
  { rows: 2, columns: 30_004 },
];
