/** A hand's motion in phases: each has its share of time, a wrist path and finger angles, both over 0 to 1. */
import { rotations, splinePath } from '@dwm/renderer';
import type { Random } from '../random.ts';
import type { Placement } from '../world/solid.ts';
import type { HandAngles } from './skeleton.ts';

export interface Phase {
  /** Share of the clip; shares add up to 1. */
  readonly share: number;
  readonly wrist: (u: number) => Placement;
  readonly fingers: (u: number) => HandAngles;
  /** The hand does what the action is about. */
  readonly acts?: boolean;
}

export type Shares = readonly [approach: number, close: number, act: number, open: number, leave: number];

/** Shares of the clip for approach, closing, acting, opening and going back, a little different every time. */
export function shares(random: Random): Shares {
  const approach = random.uniform(0.26, 0.32);
  const close = 0.075;
  const act = random.uniform(0.33, 0.4);
  const open = 0.07;
  return [approach, close, act, open, 1 - approach - close - act - open];
}

/** From rest to rest with the least jerk (Flash and Hogan, 1985). */
export const minimumJerk = (u: number): number => u * u * u * (10 + u * (6 * u - 15));

/** A smooth way through places, at the given parts of it. */
export function throughPlaces(
  places: readonly Placement[],
  parts: readonly number[],
): (u: number) => Placement {
  const keys = places.map((place, i) => ({ seconds: parts[i], ...place }));
  return (u) => {
    const [{ position, rotation }] = splinePath(keys, [u]);
    return { position, rotation };
  };
}

/** The placement a share `t` of the way from `a` to `b`. */
export function blend(a: Placement, b: Placement, t: number): Placement {
  return {
    position: rotations.lerp(a.position, b.position, t),
    rotation: rotations.slerp(a.rotation, b.rotation, t),
  };
}

/** The phase at a part of the clip (0 to 1), and how far through it. */
export function phaseAt(phases: readonly Phase[], time: number): { phase: Phase; u: number } {
  let start = 0;
  for (const phase of phases) {
    if (time <= start + phase.share || phase === phases.at(-1))
      return { phase, u: Math.min(1, Math.max(0, (time - start) / phase.share)) };
    start += phase.share;
  }
  throw new RangeError('a timeline has at least one phase');
}
