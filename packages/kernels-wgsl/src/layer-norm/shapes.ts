/** Shapes that the tests try: odd sizes, then the model's (fewer rows than it has). */
export const LAYER_NORM_SHAPES: readonly { rows: number; channels: number }[] = [
  { rows: 5, channels: 1 },
  { rows: 3, channels: 7 },
  { rows: 130, channels: 33 },
  { rows: 1, channels: 4 },
  { rows: 1000, channels: 64 },
  { rows: 17, channels: 3072 },
  { rows: 9, channels: 4096 },
  { rows: 2, channels: 16388 },
];
