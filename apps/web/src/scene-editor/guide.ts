/**
 * What a room's own motion knows of its thing: how the hand comes to hold it, and how it turns on the way. A visitor
 * takes the hand where it already holds on; wherever they drag it, it is posed as the room's motion is at the
 * nearest place of its way, so a door is followed round its hinge and a pitcher tips.
 */
import { type HandPose, type HandSide, NO_HANDS, type Trajectory, type TrajectoryFrame } from '@dwm/renderer';
import type { RoomInfo } from '../worker/protocol.ts';
import { add, clamp, dot, length, scale, subtract, type Vec3 } from './vectors.ts';

export interface Guide {
  readonly side: HandSide;
  /** Before the visitor's part: the hand comes and takes hold. */
  readonly approach: readonly TrajectoryFrame[];
  /** The way that the room's own motion goes, from where the hand has hold, [25, 7] joints each. */
  readonly way: readonly Float64Array[];
}

const wristOf = (joints: Float64Array): Vec3 => [joints[0], joints[1], joints[2]];

/** Undefined where a room has no motion of one hand that holds something. */
export function guideOf({ trajectory, acts }: Pick<RoomInfo, 'trajectory' | 'acts'>): Guide | undefined {
  if (!trajectory || !acts) return undefined;
  const acting = trajectory.frames.slice(acts.from, acts.to + 1);
  const sides = (['left', 'right'] as const).filter((side) =>
    acting.every(({ hands }) => hands[side]?.joints),
  );
  if (sides.length !== 1) return undefined;
  const [side] = sides;
  return {
    side,
    approach: trajectory.frames.slice(0, acts.from),
    way: acting.map(({ hands }) => hands[side]!.joints!),
  };
}

/** Where the visitor takes the hand. */
export const startOf = ({ way }: Guide): Vec3 => wristOf(way[0]);

/** Where the room's own motion goes from there, metres. */
export const towards = ({ way }: Guide): Vec3 => subtract(wristOf(way.at(-1)!), wristOf(way[0]));

/** What a hand holds keeps it on its way: metres off it that count as nothing, and from which on it is free. */
const KEPT = 0.06;
const FREE = 0.14;

/** The joints of the way's place that is nearest to a wrist. */
function nearest(way: readonly Float64Array[], wrist: Vec3): Float64Array {
  let best = way[0];
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i + 1 < way.length; i++) {
    const [from, to] = [wristOf(way[i]), wristOf(way[i + 1])];
    const step = subtract(to, from);
    const squared = dot(step, step);
    const t = squared > 0 ? Math.min(1, Math.max(0, dot(subtract(wrist, from), step) / squared)) : 0;
    const off = length(subtract(wrist, add(from, scale(step, t))));
    if (off >= least) continue;
    least = off;
    // Neighbouring frames turn little: their rotations may be mixed part by part.
    best = way[i].map((value, j) => value + t * (way[i + 1][j] - value));
  }
  return best;
}

/** The hand with its wrist somewhere, posed as the way has it nearest to there, and kept to the way while it is near. */
export function handAt({ way }: Guide, wrist: Vec3): HandPose {
  const posed = nearest(way, wrist);
  const off = subtract(wrist, wristOf(posed));
  const by = scale(off, clamp((length(off) - KEPT) / (FREE - KEPT), 0, 1));
  const joints = posed.map((value, i) => (i % 7 < 3 ? value + by[i % 7] : value));
  for (let at = 3; at < joints.length; at += 7) {
    const norm = Math.hypot(joints[at], joints[at + 1], joints[at + 2], joints[at + 3]);
    for (let i = at; i < at + 4; i++) joints[i] /= norm;
  }
  return { joints };
}

/** Whether what the hand holds comes along while its wrist is there. */
export const hasHold = ({ way }: Guide, wrist: Vec3): boolean =>
  length(subtract(wrist, wristOf(nearest(way, wrist)))) < FREE;

/** Of evenly taken values as many as are wanted, over the same time or less; too few end in their last one. */
export function fittedTo<T>(values: readonly T[], count: number): T[] {
  const last = values.length - 1;
  const stride = Math.max(1, last / (count - 1));
  return Array.from({ length: count }, (_, i) => values[Math.min(last, Math.round(i * stride))]);
}

/** The whole motion of a drag: the hand comes, takes hold, and goes where the visitor took it. */
export function guidedMotion(guide: Guide, room: Trajectory, wrists: readonly Vec3[]): Trajectory {
  const rest = room.frames.slice(guide.approach.length);
  const taken = fittedTo(wrists, rest.length);
  return {
    fps: room.fps,
    frames: [
      ...guide.approach,
      ...rest.map((frame, i) => ({
        ...frame,
        hands: { ...NO_HANDS, [guide.side]: handAt(guide, taken[i]) },
      })),
    ],
  };
}

/** How far along the room's own way a drag ends, 1 for all of it, and how far from it, metres. */
export function progress(guide: Guide, wrist: Vec3): { readonly along: number; readonly off: number } {
  const way = towards(guide);
  const moved = subtract(wrist, startOf(guide));
  const along = dot(moved, way) / Math.max(1e-9, dot(way, way));
  return { along, off: length(subtract(moved, scale(way, along))) };
}
