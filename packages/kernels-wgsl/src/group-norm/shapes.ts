/** Sizes of a group normalization; `positions` is the product of all dimensions between batch and channels. */
export interface GroupNormShape {
  readonly batch: number;
  readonly positions: number;
  readonly channels: number;
  readonly groups: number;
}

/** Shapes that the tests try: odd sizes, then the video VAE's (fewer positions than it has). */
export const GROUP_NORM_SHAPES: readonly GroupNormShape[] = [
  { batch: 1, positions: 1, channels: 6, groups: 2 },
  { batch: 2, positions: 37, channels: 15, groups: 5 },
  { batch: 3, positions: 1031, channels: 9, groups: 1 },
  { batch: 2, positions: 700, channels: 7, groups: 7 },
  { batch: 1, positions: 3000, channels: 128, groups: 32 },
  { batch: 2, positions: 300, channels: 512, groups: 32 },
];
