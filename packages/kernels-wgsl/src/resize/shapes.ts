/** Sizes of a resizing. */
export interface ResizeShape {
  readonly batch: number;
  /** Frames, height, width. */
  readonly from: readonly [number, number, number];
  readonly to: readonly [number, number, number];
  readonly channels: number;
}

/** Shapes that the tests try: odd sizes both ways, then video frames scaled down. */
export const RESIZE_SHAPES: readonly ResizeShape[] = [
  { batch: 1, from: [1, 1, 1], to: [1, 3, 2], channels: 1 },
  { batch: 2, from: [3, 5, 7], to: [5, 4, 9], channels: 3 },
  { batch: 2, from: [5, 8, 6], to: [2, 3, 13], channels: 4 },
  { batch: 1, from: [2, 36, 64], to: [2, 48, 72], channels: 3 },
  { batch: 1, from: [9, 24, 36], to: [3, 6, 9], channels: 1 },
];
