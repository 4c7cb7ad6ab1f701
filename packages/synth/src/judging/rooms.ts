/** What hands may do in one made-up room, along one camera path, each run in the physics. */
import { type HandPose, SIDES, type Trajectory } from '@dwm/renderer';
import { clipOf } from '../clip-of.ts';
import { fault } from '../fault.ts';
import { forearmsFor, type Motion, type MotionSettings, makeMotion } from '../motion/make-motion.ts';
import { angles, OPEN } from '../motion/posture.ts';
import { poseSkeleton, wristOf } from '../motion/skeleton.ts';
import { blend, minimumJerk } from '../motion/timeline.ts';
import { runHands } from '../physics/run-hands.ts';
import { Random } from '../random.ts';
import { FIXED_CAMERA } from '../simulate.ts';
import type { SimulatedClip } from '../types.ts';
import { makeWorld } from '../world/make-world.ts';
import { anotherOf, findBody, isJoint, type World } from '../world/world.ts';

/** Size, length and rate of the clips. */
export type ClipSize = Pick<MotionSettings, 'width' | 'height' | 'frames' | 'fps'>;

/** Why nothing can be judged in a room. */
export interface Unusable {
  readonly rejected: string;
}

/** What hands do in a `drawerRoom`; the first is right. */
export const CANDIDATES = ['pull it', 'pull another', 'push it', 'touch nothing', 'move away'] as const;
/** One of `CANDIDATES`. */
export type CandidateName = (typeof CANDIDATES)[number];

/** Share of its way that a drawer or door has passed at the end; 0 for what is none, or does not move. */
export function openedShare(
  world: World,
  moving: readonly { name: string; opening?: readonly number[] }[],
  name: string,
): number {
  const { motion } = findBody(world, name);
  const opening = moving.find((part) => part.name === name)?.opening;
  if (!isJoint(motion) || !opening) return 0;
  return (opening.at(-1)! - opening[0]) / (motion.limits[1] - motion.limits[0]);
}

/** Share of the way that still counts as shut. */
const SHUT = 0.05;

/** The motion run in the physics, and what `dwm synth` would find wrong with it. */
async function played(world: World, motion: Motion, fixedCamera: boolean) {
  const run = await runHands(world, motion.acting);
  return { clip: clipOf(world, motion, run, fixedCamera), problem: fault(world, motion, run) };
}

/** As often as in training. */
const cameraStands = (seed: number) => Random.fork(seed, 'clip').chance(FIXED_CAMERA);

/** The hand that came near and touched nothing goes back from the first frame on. */
function moveAway(world: World, nothing: Motion): Motion {
  const { acting, actingFrames } = nothing;
  const side = SIDES.find((one) => acting.frames[0].hands[one])!;
  const wrist = (frame: number) => wristOf(acting.frames[frame].hands[side]!.joints!);
  const [near, rest] = [wrist(actingFrames[0]), wrist(0)];
  const last = acting.frames.length - 1;
  const hand = (frame: number): HandPose =>
    poseSkeleton(
      { side, size: 1 },
      blend(near, rest, minimumJerk(Math.min(1, frame / (0.7 * last)))),
      angles('relaxed', OPEN),
    );
  const frames = acting.frames.map((frame, f) => ({
    ...frame,
    hands: { left: null, right: null, [side]: hand(f) },
  }));
  const away: Trajectory = { ...acting, frames };
  return { ...nothing, acting: away, forearms: forearmsFor(world, away) };
}

/** A room with a shut chest of drawers, and all that was done in it. */
export interface DrawerRoom {
  readonly world: World;
  /** In the order of `CANDIDATES`. */
  readonly clips: readonly SimulatedClip[];
}

/** A shut chest of drawers. Both pulls open their drawers in the physics, the rest leaves all shut; or it is unusable. */
export async function drawerRoom(seed: number, size: ClipSize): Promise<DrawerRoom | Unusable> {
  const world = await makeWorld(seed, 'pull-drawer');
  const fixed = cameraStands(seed);
  const settings = { ...size, fixedCamera: fixed };
  const other = anotherOf(world)!;
  const nothing = makeMotion(world, { ...settings, action: 'touch-nothing' });
  const motions: readonly [CandidateName, World, Motion][] = [
    ['pull it', world, makeMotion(world, settings)],
    ['pull another', other, makeMotion(other, settings)],
    ['push it', world, makeMotion(world, { ...settings, action: 'push-shut-drawer' })],
    ['touch nothing', world, nothing],
    ['move away', world, moveAway(world, nothing)],
  ];
  const clips: SimulatedClip[] = [];
  for (const [name, where, motion] of motions) {
    const { clip, problem } = await played(where, motion, fixed);
    // Who goes away may go out of the picture.
    const meantSo = name === 'move away' && problem === 'out-of-view';
    if (problem && !meantSo) return { rejected: `${name}: ${problem}` };
    const meant = name.startsWith('pull') ? where.actor : undefined;
    const opened = clip.moving.filter((part) => openedShare(world, clip.moving, part.name) > SHUT);
    if (opened.some((part) => part.name !== meant)) return { rejected: `${name}: opens ${opened[0].name}` };
    clips.push(clip);
  }
  return { world, clips };
}

/** A shut drawer (even seeds) or door (odd), pulled open and left alone. */
export async function openingRoom(
  seed: number,
  size: ClipSize,
): Promise<{ pulled: SimulatedClip; left: SimulatedClip } | Unusable> {
  const world = await makeWorld(seed, seed % 2 === 0 ? 'pull-drawer' : 'open-door');
  const fixed = cameraStands(seed);
  const settings = { ...size, fixedCamera: fixed };
  const pull = await played(world, makeMotion(world, settings), fixed);
  if (pull.problem) return { rejected: `pulling: ${pull.problem}` };
  const leave = await played(world, makeMotion(world, { ...settings, action: 'touch-nothing' }), fixed);
  if (leave.problem) return { rejected: `touching nothing: ${leave.problem}` };
  return { pulled: pull.clip, left: leave.clip };
}

/** Hands that do not take hold, each as often. */
export const MISSES = ['miss', 'stop-short', 'graze', 'wander', 'touch-nothing', 'push-shut-drawer'] as const;

/** A shut drawer (even seeds) or door (odd), pulled open, and a hand that opens nothing. */
export async function missRoom(
  seed: number,
  size: ClipSize,
): Promise<{ pulled: SimulatedClip; missed: SimulatedClip } | Unusable> {
  const world = await makeWorld(seed, seed % 2 === 0 ? 'pull-drawer' : 'open-door');
  const fixed = cameraStands(seed);
  const settings = { ...size, fixedCamera: fixed };
  const pull = await played(world, makeMotion(world, settings), fixed);
  if (pull.problem) return { rejected: `pulling: ${pull.problem}` };
  const action = Random.fork(seed, 'near miss').pick(MISSES);
  const miss = await played(world, makeMotion(world, { ...settings, action }), fixed);
  if (miss.problem) return { rejected: `${action}: ${miss.problem}` };
  return { pulled: pull.clip, missed: miss.clip };
}
