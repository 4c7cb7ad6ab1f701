/**
 * One's own hand as it reaches out before one's eyes, which is how the model's pictures show it: its fingers point away
 * and a little up and inwards, its back is turned up and to its own side, its fingers are a little bent.
 */
import { type HandSide, type Quaternion, rotations } from '@dwm/renderer';
import { FREEDOMS } from './articulation.ts';

/** The right wrist joint in the camera's axes, in simulated clips. */
const RIGHT = rotations.unit([0.19, 0.12, -0.24, 0.94])!;

/** How far hands are turned from it, radians. */
export const TURN_DEVIATION = 0.65;

/** How the wrist joint is turned in the camera's axes. */
export function reachingTurn(side: HandSide): Quaternion {
  const [x, y, z, w] = RIGHT;
  return side === 'right' ? RIGHT : [x, -y, -z, w];
}

const THUMB_TIP = 4;
const BENT = 0.4;

/** One for each of `FREEDOMS`, radians. */
export const REACHING_ANGLES: readonly number[] = FREEDOMS.map(({ joint, most }) =>
  joint > THUMB_TIP && most > 1 ? BENT : 0,
);
