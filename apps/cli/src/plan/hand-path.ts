/**
 * A hand's path from eight numbers in 0 to 1: which target it takes hold of, which way it then moves, how far, and
 * small turns and shifts. Reach, close, move, let go, withdraw, as 25 joints in every frame.
 */
import { type HandSide, rotations, type Trajectory, type Vec3 } from '@dwm/renderer';
import {
  angles,
  blend,
  type Closure,
  clearanceOf,
  closeUntilContact,
  type Grip,
  type HandModel,
  minimumJerk,
  mixAngles,
  OPEN,
  type Placement,
  poseSkeleton,
  throughPlaces,
  withdrawn,
  wristAt,
} from '@dwm/synth';

const { add, cross, direction, rotate, scale } = rotations;

/** What a hand may take hold of, and where it is. */
export interface Target {
  readonly name: string;
  readonly grip: Grip;
  readonly place: Placement;
}

export interface PathSetting {
  readonly targets: readonly Target[];
  /** Camera path; its hands do not matter. */
  readonly camera: Trajectory;
  readonly hand: HandModel;
  /** The wrist before the action. */
  readonly start: Placement;
}

export const MOTIONS = ['pull', 'push', 'left', 'right', 'up'] as const;
export const COORDINATES = 8;
/** Of them, those that choose. */
export const CHOICES = 2;

/** Metres that a hand moves at least and at most; a hand that pushes farther would go through what it pushes. */
const [NEAREST, FARTHEST] = [0.06, 0.36];
const PUSHED = 0.2;
/** Radians by which the motion may turn, metres by which the hold may shift, each way. */
const [TURN, SHIFT] = [0.5, 0.015];

/** The clip's parts by time: at the target, closed, moved, let go, back. */
const [REACHED, CLOSED, MOVED, OPENED] = [0.3, 0.38, 0.74, 0.81];

const pick = <T>(list: readonly T[], u: number): T =>
  list[Math.min(list.length - 1, Math.floor(u * list.length))];
const spread = (u: number, most: number) => (2 * u - 1) * most;

function distanceOf([, motion, share]: readonly number[]): number {
  const metres = NEAREST + share * (FARTHEST - NEAREST);
  return pick(MOTIONS, motion) === 'push' ? PUSHED * metres : metres;
}

/** In words: target, motion and metres. */
export function describePoint(point: readonly number[], { targets }: Pick<PathSetting, 'targets'>): string {
  return `${pick(MOTIONS, point[1])} ${pick(targets, point[0]).name} by ${(100 * distanceOf(point)).toFixed(0)} cm`;
}

export function handPath(point: readonly number[], setting: PathSetting): Trajectory {
  const { targets, camera, hand, start } = setting;
  const { grip, place } = pick(targets, point[0]);
  const ahead = rotate(place.rotation, grip.forward);
  const flat = direction([ahead[0], 0, ahead[2]]) ?? ahead;
  const up: Vec3 = [0, 1, 0];
  const right = cross(flat, up);
  const motions: Record<(typeof MOTIONS)[number], Vec3> = {
    pull: scale(flat, -1),
    push: flat,
    left: scale(right, -1),
    right,
    up,
  };
  const along = motions[pick(MOTIONS, point[1])];
  const turn = (axis: Vec3, u: number) => rotations.fromAxisAngle(scale(axis, spread(u, TURN)));
  const way = rotate(turn(up, point[3]), rotate(turn(right, point[4]), along));
  const metres = distanceOf(point);
  const shift = add(scale(right, spread(point[5], SHIFT)), scale(up, spread(point[6], SHIFT)));

  const held = wristAt(hand, grip, place);
  const hold = { ...held, position: add(held.position, shift) };
  const end = { ...hold, position: add(hold.position, scale(way, metres)) };
  const even = 0.5 + point[7] / 2;
  const closure: Closure =
    grip.solids.length > 0
      ? closeUntilContact(hand, hold, grip.posture, grip.solids, place)
      : [even, even, even, even, even];
  const off = clearanceOf(grip.posture);
  const from = (wrist: Placement) => withdrawn(wrist, off[0] + 0.06, off[1] + 0.04);
  const beside = (wrist: Placement) => withdrawn(wrist, grip.posture === 'hook' ? 0.008 : off[0], off[1]);
  const reach = throughPlaces([start, from(hold), beside(hold), hold], [0, 0.5, 0.76, 1]);
  const leave = throughPlaces([end, beside(end), from(end), blend(end, start, 0.7)], [0, 0.25, 0.5, 1]);
  const [limp, open, closed] = [
    angles('relaxed', OPEN),
    angles(grip.posture, OPEN),
    angles(grip.posture, closure),
  ];
  const mix = (a: typeof open, b: typeof open, u: number) => mixAngles(a, b, [u, u, u, u, u]);

  const part = (t: number, low: number, high: number) => Math.min(1, Math.max(0, (t - low) / (high - low)));
  const poseAt = (t: number): [Placement, typeof open] => {
    if (t <= REACHED) {
      const u = part(t, 0, REACHED);
      return [reach(minimumJerk(u)), mix(limp, open, Math.min(1, u / 0.55))];
    }
    if (t <= CLOSED) return [hold, mix(open, closed, part(t, REACHED, CLOSED))];
    if (t <= MOVED) {
      const position = rotations.lerp(hold.position, end.position, minimumJerk(part(t, CLOSED, MOVED)));
      return [{ ...hold, position }, closed];
    }
    if (t <= OPENED) return [end, mix(closed, open, part(t, MOVED, OPENED))];
    const u = part(t, OPENED, 1);
    return [leave(minimumJerk(u)), mix(open, limp, u)];
  };
  const last = camera.frames.length - 1;
  return {
    fps: camera.fps,
    frames: camera.frames.map((frame, f) => {
      const posed = poseSkeleton(hand, ...poseAt(last > 0 ? f / last : 0));
      return { ...frame, hands: { left: null, right: null, [hand.side]: posed } };
    }),
  };
}

/** Targets at points of the world: the viewer's hand reaches forward, in each of three postures. */
export function targetsAt(points: readonly Vec3[], eye: Vec3): Target[] {
  return points.flatMap((point, i) => {
    const ahead = direction([point[0] - eye[0], 0, point[2] - eye[2]]) ?? [0, 0, -1];
    return (['hook', 'pinch', 'flat'] as const).map(
      (posture): Target => ({
        name: `target ${i + 1} (${posture})`,
        place: { position: [0, 0, 0], rotation: [0, 0, 0, 1] },
        grip: { point, forward: ahead, roll: 'palm', up: [0, 1, 0], posture, radius: 0.01, solids: [] },
      }),
    );
  });
}

/** The hand that a trajectory starts with. */
export const startingSide = ({ frames: [{ hands }] }: Trajectory): HandSide | undefined =>
  hands.right?.joints ? 'right' : hands.left?.joints ? 'left' : undefined;
