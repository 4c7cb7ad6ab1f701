/** Flat hands at the origin, [25, 7] in WebXR's order: whose bones landmarks are put on. */
import { angles, poseSkeleton } from '@dwm/synth';

export const REST_HANDS = Object.fromEntries(
  (['left', 'right'] as const).map((side) => [
    side,
    poseSkeleton(
      { side, size: 1 },
      { position: [0, 0, 0], rotation: [0, 0, 0, 1] },
      angles('flat', [0, 0, 0, 0, 0]),
    ).joints,
  ]),
) as Record<'left' | 'right', Float64Array>;
