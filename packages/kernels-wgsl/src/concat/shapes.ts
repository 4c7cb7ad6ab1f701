/** Shapes that the tests try: tensors of `shapes` joined along `dim`. */
export const CONCAT_SHAPES: readonly { shapes: readonly (readonly number[])[]; dim: number }[] = [
  { shapes: [[1], [3], [2]], dim: 0 },
  {
    shapes: [
      [5, 3],
      [5, 4],
    ],
    dim: 1,
  },
  {
    shapes: [
      [2, 3, 5, 7],
      [2, 1, 5, 7],
      [2, 6, 5, 7],
    ],
    dim: 1,
  },
  // Latents, mask and conditions joined by channels; text and video tokens joined by rows.
  {
    shapes: [
      [3, 6, 9, 16],
      [3, 6, 9, 1],
      [3, 6, 9, 16],
    ],
    dim: 3,
  },
  {
    shapes: [
      [2, 26, 64],
      [2, 100, 64],
    ],
    dim: 1,
  },
];
