/**
 * What hands did to a world, in the words of the training captions: for any motion. The physics says
 * what was touched, held and moved (`runHands`); what only moved along with something else is not spoken of.
 */
import { type HandSide, placement, rotations, SIDES, type Trajectory, type Vec3 } from '@dwm/renderer';
import type { Matrix } from '@dwm/renderer/scene';
import { beadsNear } from '../physics/beads.ts';
import type { HandsRun } from '../physics/run-hands.ts';
import type { MovingPart } from '../types.ts';
import { halfExtents } from '../world/solid.ts';
import { type Body, findBody, isJoint, type Joint, type World } from '../world/world.ts';
import {
  DESERTED,
  type Deed,
  held,
  lifted,
  movedJoint,
  nothingTouched,
  pickedUp,
  poured,
  pushed,
  putDown,
  say,
  tipped,
  tookHandle,
  touched,
} from './words.ts';

/** Share of a joint's way, and metres, below which nothing is seen to move. */
const JOINT_MOVED = 0.1;
const THING_MOVED = 0.03;
/** Metres of a hand's way to and fro in a wave. */
const WAVE = 0.025;
/** Metres that a hand goes while it pushes on what does not give way. */
const PUSH = 0.01;
/** More sentences than that tell nobody what it is about. */
const MOST = 2;

interface Event {
  /** Of the first touch. */
  readonly frame: number;
  readonly sides: readonly HandSide[];
  readonly deeds: readonly Deed[];
  readonly moved: boolean;
  /** Frames in which it was touched. */
  readonly weight: number;
}

/**
 * @param acting what the hands do, in the world as it is in frame 0. @param run what comes of it: `runHands` of the same.
 * @returns a sentence, two where two things were moved; of hands that touch nothing, or of none, that they do so.
 */
export function captionOf(world: World, acting: Trajectory, run: HandsRun): string {
  const seen = SIDES.filter((side) => acting.frames.some(({ hands }) => hands[side]?.joints));
  if (seen.length === 0) return DESERTED;
  const events = run.moving.flatMap((part) => eventOf(world, acting, run, part) ?? []);
  if (events.length === 0)
    return nothingTouched(
      seen,
      seen.some((side) => waves(acting, side)),
    );
  const moves = events.filter(({ moved }) => moved);
  return (moves.length > 0 ? moves : events)
    .toSorted((a, b) => b.weight - a.weight)
    .slice(0, moves.length > 0 ? MOST : 1)
    .toSorted((a, b) => a.frame - b.frame)
    .map(({ sides, deeds }) => say(sides, ...deeds))
    .join(' ');
}

/** What hands did to a part; undefined where they did not touch it. */
function eventOf(world: World, acting: Trajectory, run: HandsRun, part: MovingPart): Event | undefined {
  const contacts = run.contacts.filter(({ part: name }) => name === part.name);
  // Beads go with what they are in.
  if (contacts.length === 0 || /^bead/.test(part.name)) return undefined;
  const body = findBody(world, part.name);
  const holds = run.holds.filter(({ part: name }) => name === part.name);
  const often = (side: HandSide, of = contacts) => of.filter((contact) => contact.side === side).length;
  const most = Math.max(...SIDES.map((side) => often(side)));
  const sides = SIDES.filter((side) => (holds.length > 0 ? often(side, holds) > 0 : often(side) > most / 2));
  const touching = contacts.filter(({ side }) => sides.includes(side));
  const did = isJoint(body.motion)
    ? jointDeeds(body, body.motion, part.opening!)
    : looseDeeds(world, run, body, part, holds, rightOf(acting));
  const { frame } = contacts[0];
  const common = { frame, sides, weight: contacts.length + holds.length };
  if (did.length > 0) return { ...common, deeds: did, moved: true };
  return { ...common, deeds: [stillDeed(acting, body, holds.length > 0, touching)], moved: false };
}

/** What came of it in the end; to and fro only where that is nothing. */
function jointDeeds(body: Body, { limits }: Joint, opening: readonly number[]): Deed[] {
  const least = JOINT_MOVED * (limits[1] - limits[0]);
  const change = opening.at(-1)! - opening[0];
  if (Math.abs(change) >= least) return [movedJoint(body, change > 0)];
  const [first, ...others] = strokes(opening, least);
  if (first === undefined) return [];
  const back = others.length > 0 ? [movedJoint({ ...body, words: 'it' }, !first)] : [];
  return [movedJoint(body, first), ...back];
}

function looseDeeds(
  world: World,
  run: HandsRun,
  body: Body,
  { worlds }: MovingPart,
  holds: HandsRun['holds'],
  right: Vec3,
): Deed[] {
  const { dot, length, subtract } = rotations;
  const [first, last] = [placeOf(worlds[0]), placeOf(worlds.at(-1)!)];
  const shift = subtract(last, first);
  const aside = dot(shift, right);
  const way = aside > 0 ? ('right' as const) : ('left' as const);
  const sideways = Math.abs(aside) > THING_MOVED;
  const heldAtEnd = holds.some(({ frame }) => frame === worlds.length - 1);

  if (body.name === 'pitcher' && pouredOut(world, run)) return [poured(body)];
  const rise = Math.max(...holds.map(({ frame }) => worlds[frame][7] - worlds[0][7]), 0);
  if (rise > THING_MOVED) {
    const both = new Set(holds.map(({ side }) => side)).size > 1;
    return [
      both ? lifted(body) : pickedUp(body),
      ...(heldAtEnd ? [] : [putDown(sideways ? way : undefined)]),
    ];
  }
  if (!heldAtEnd && isTall(body) && worlds.at(-1)![5] < 0.5) return [tipped(body)];
  if (length(shift) < THING_MOVED) return [];
  if (shift[1] < -2 * THING_MOVED) return [['knock', `${body.words} down`]];
  if (sideways) return [pushed(body, way)];
  // Ahead is to the left of right, turned about the vertical.
  const ahead = shift[0] * right[2] - shift[2] * right[0];
  return [ahead > 0 ? ['push', `${body.words} away`] : ['pull', `${body.words} back`]];
}

/** What is done to a thing that stays where it is. */
function stillDeed(acting: Trajectory, body: Body, isHeld: boolean, touching: HandsRun['contacts']): Deed {
  if (isHeld) return isJoint(body.motion) ? tookHandle(body) : held(body);
  const { motion } = body;
  if (!isJoint(motion) || motion.kind !== 'prismatic') return touched(body);
  const { side, frame } = touching[0];
  const wrist = (at: number) => {
    const joints = acting.frames[Math.max(0, at)].hands[side]?.joints;
    return joints && ([joints[0], joints[1], joints[2]] as const);
  };
  const from = wrist(frame - 1);
  const inwards = touching.map((touch) => {
    const to = touch.side === side && wrist(touch.frame);
    return from && to ? -rotations.dot(rotations.subtract(to, from), motion.axis) : 0;
  });
  return Math.max(...inwards) > PUSH ? movedJoint(body, false) : touched(body);
}

/** What falls over when it is pushed high up; anything else only rolls or slides. */
function isTall({ solids }: Body): boolean {
  const sizes = solids.map(({ shape, position }) => ({ half: halfExtents(shape), position }));
  const top = Math.max(...sizes.map(({ half, position }) => position[1] + half[1]));
  return top > 3.5 * Math.max(...sizes.map(({ half }) => half[0]));
}

const placeOf = (matrix: Matrix): Vec3 => [matrix[3], matrix[7], matrix[11]];

/** To the right as the viewer sees it in frame 0, level. */
function rightOf({ frames }: Trajectory): Vec3 {
  const [x, , z] = rotations.rotate(placement(frames[0].camera).rotation, [1, 0, 0]);
  return rotations.direction([x, 0, z]) ?? [1, 0, 0];
}

function pouredOut(world: World, run: HandsRun): boolean {
  const bowl = world.bodies.find(({ name }) => name === 'bowl');
  return bowl !== undefined && beadsNear(run, bowl.place.position) >= 5;
}

function waves(acting: Trajectory, side: HandSide): boolean {
  const right = rightOf(acting);
  const aside = acting.frames.flatMap(({ hands }) => {
    const joints = hands[side]?.joints;
    return joints ? [joints[0] * right[0] + joints[2] * right[2]] : [];
  });
  return strokes(aside, WAVE).length > 2;
}

/** Ways up (true) and down of a number that goes to and fro, each of `least` or more. */
function strokes(values: readonly number[], least: number): boolean[] {
  const ups: boolean[] = [];
  let [low, high] = [values[0], values[0]];
  for (const value of values) {
    const up = ups.at(-1);
    if (up !== true && value - low >= least) ups.push(true);
    else if (up !== false && high - value >= least) ups.push(false);
    const now = ups.at(-1);
    // What a way is measured from is where the last one turned.
    high = now === false || value > high ? value : high;
    low = now === true || value < low ? value : low;
  }
  return ups;
}
