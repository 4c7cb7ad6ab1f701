/**
 * The physics under any hand trajectory: hands push what they meet and carry what they hold; everything else is up to
 * gravity, friction and joints. Hands move straight from frame to frame.
 */
import { type HandSide, rotations, SIDES, type Trajectory, type Vec3 } from '@dwm/renderer';
import type { Matrix } from '@dwm/renderer/scene';
import { jointAt } from '../motion/skeleton.ts';
import type { Contact, MovingPart } from '../types.ts';
import { type Placement, placed, placePoint, unplacePoint } from '../world/solid.ts';
import { type Body, isJoint, openingFor, placeAt, type World, worldMatrix } from '../world/world.ts';
import { Bodies, type MovableBody } from './bodies.ts';
import { carrier, HandNow, holders, TOUCH, touchedPoint, touches, within } from './grasp.ts';
import { bendOf, DEFAULT_RADII, HandBody } from './hand-body.ts';

/** What the hands did to the room. */
export interface HandsRun {
  /** Every body that can move, in the world's order. */
  readonly moving: readonly MovingPart[];
  readonly contacts: readonly Contact[];
  /** What hands have hold of, likewise. */
  readonly holds: readonly Contact[];
}

/** What a hand has hold of. */
interface Hold {
  readonly sides: readonly HandSide[];
  /** The body in the carrier's frame when it was taken. */
  readonly offset: Placement;
  /** The middle of what was touched then, in the carrier's and in the body's frame. */
  readonly grip: Vec3;
  readonly local: Vec3;
  /** The most that the fingers were bent while they held, radians. */
  bend: number;
}

/** Every so many steps it is looked at what hands hold. */
const HOLD_STEPS = 3;
/** Radians by which fingers on average unbend when they let go. */
const UNBENT = 0.2;
/** Metres between a hand and what it let go before it can push it again. */
const CLEAR = 0.03;
/** Metres a second: a hand that is slower takes hold. */
const CALM = 0.2;

type HandsNow = Partial<Record<HandSide, HandNow>>;

/** @param acting camera and hands in every frame; the first frame is the world as it is. */
export async function runHands(world: World, acting: Trajectory): Promise<HandsRun> {
  const bodies = await Bodies.create(world);
  try {
    return simulateFrames(acting, bodies);
  } finally {
    bodies.destroy();
  }
}

function simulateFrames({ frames, fps }: Trajectory, bodies: Bodies): HandsRun {
  const steps = bodies.stepsPerFrame(fps);
  const handBodies = SIDES.map((side) => {
    const first = frames.find(({ hands }) => hands[side]?.joints);
    return first && new HandBody(bodies, first.hands[side]!);
  });
  const track = bodies.movable.map(() => ({ worlds: [] as Matrix[], openings: [] as number[] }));
  const contacts: Contact[] = [];
  const held: Contact[] = [];
  const holds = new Map<MovableBody, Hold>();
  const leaving = new Set<MovableBody>();

  // Since the frame before: at 8 frames a second a touch may begin and end between two.
  const touched: Record<HandSide, Set<string>> = { left: new Set(), right: new Set() };
  const feel = (hands: HandsNow, { body }: MovableBody, place: Placement) => {
    for (const side of SIDES)
      if (hands[side] && touches(hands[side], body, place, TOUCH).length > 0) touched[side].add(body.name);
  };

  const record = (frame: number) => {
    bodies.movable.forEach((movable, i) => {
      const { body } = movable;
      const opening = bodies.opening(movable);
      const place =
        frame === 0 && !isJoint(body.motion)
          ? body.place
          : opening === undefined
            ? bodies.placement(movable)
            : placeAt(body, opening);
      track[i].worlds.push(worldMatrix(place));
      if (opening !== undefined) track[i].openings.push(opening);
      for (const side of SIDES)
        if (touched[side].has(body.name)) contacts.push({ frame, side, part: body.name });
      for (const side of holds.get(movable)?.sides ?? []) held.push({ frame, side, part: body.name });
    });
    for (const side of SIDES) touched[side].clear();
  };

  const before: Partial<Record<HandSide, Vec3>> = {};
  /** A hand takes hold of nothing in passing. */
  const calm = (sides: readonly HandSide[], hands: HandsNow) =>
    sides.every((side) => {
      const from = before[side];
      const way = from && rotations.length(rotations.subtract(jointAt(hands[side]!.joints, 0), from));
      return way !== undefined && way * fps * steps < CALM * HOLD_STEPS;
    });

  /** Fingers that unbend let go. */
  const opens = (hold: Hold, hands: HandsNow) => {
    const bend = meanBend(hands, hold.sides);
    hold.bend = Math.max(hold.bend, bend);
    return bend < hold.bend - UNBENT;
  };

  const updateHolds = (hands: HandsNow) => {
    for (const movable of bodies.movable) {
      const place = bodies.placement(movable);
      feel(hands, movable, place);
      const hold = holds.get(movable);
      const sides = holders(hands, movable.body, place, hold !== undefined);
      if (hold && (sides.length === 0 || hold.sides.some((side) => !hands[side]) || opens(hold, hands))) {
        holds.delete(movable);
        leaving.add(movable);
        bodies.weigh(movable, true);
      } else if (!hold && sides.length > 0 && !leaving.has(movable) && calm(sides, hands)) {
        holds.set(movable, takeHold(hands, sides, movable.body, place));
        bodies.collideWithHands(movable, false);
        bodies.weigh(movable, false);
      }
      if (!leaving.has(movable)) continue;
      // Fingers still around what they let go would throw it or drag it along.
      const inside = SIDES.some(
        (side) => hands[side] && touches(hands[side], movable.body, place, CLEAR).length > 0,
      );
      if (inside) continue;
      leaving.delete(movable);
      bodies.collideWithHands(movable, true);
    }
    for (const side of SIDES) before[side] = hands[side] && jointAt(hands[side].joints, 0);
  };

  for (const movable of bodies.movable) feel(handsAt(frames, 0, 0), movable, bodies.placement(movable));
  record(0);
  for (let frame = 0; frame + 1 < frames.length; frame++) {
    for (let step = 1; step <= steps; step++) {
      const hands = handsAt(frames, frame, step / steps);
      SIDES.forEach((side, i) => {
        handBodies[i]?.moveTo(hands[side]?.joints ?? null);
      });
      if (step % HOLD_STEPS === 0) updateHolds(hands);
      for (const [movable, hold] of holds) {
        if (hold.sides.some((side) => !hands[side])) continue;
        const frame = carrier(hands, hold.sides);
        if (movable.body.motion === 'loose') bodies.drive(movable, placed(frame, hold.offset));
        else if (!bodies.driveTo(movable, openingFor(movable.body, hold.local, placePoint(frame, hold.grip))))
          holds.set(movable, {
            ...takeHold(hands, hold.sides, movable.body, bodies.placement(movable)),
            bend: hold.bend,
          });
      }
      bodies.step();
    }
    record(frame + 1);
  }
  const moving = bodies.movable.map(({ body }, i): MovingPart => {
    const { worlds, openings } = track[i];
    const part = { node: body.node, name: body.name, worlds };
    return isJoint(body.motion) ? { ...part, opening: openings } : part;
  });
  return { moving, contacts, holds: held };
}

const meanBend = (hands: HandsNow, sides: readonly HandSide[]) =>
  sides.reduce(
    (sum, side) => sum + [1, 2, 3, 4].reduce((all, finger) => all + bendOf(hands[side]!.joints, finger), 0),
    0,
  ) /
  (4 * sides.length);

function takeHold(hands: HandsNow, sides: readonly HandSide[], body: Body, place: Placement): Hold {
  const frame = carrier(hands, sides);
  const point = touchedPoint(hands, sides, body, place);
  return {
    sides,
    offset: within(frame, place),
    grip: unplacePoint(frame, point),
    local: unplacePoint(place, point),
    bend: meanBend(hands, sides),
  };
}

/** The hands between frame `index` and the next; those of one frame only are there until the next. */
function handsAt(frames: Trajectory['frames'], index: number, t: number): HandsNow {
  const now: HandsNow = {};
  for (const side of SIDES) {
    const [from, to] = [frames[index].hands[side], frames[index + 1]?.hands[side]];
    const pose = t < 1 ? from : to;
    if (!pose?.joints) continue;
    const joints = from?.joints && to?.joints ? between(from.joints, to.joints, t) : pose.joints;
    now[side] = new HandNow(joints, pose.radii ?? DEFAULT_RADII);
  }
  return now;
}

function between(a: Float64Array, b: Float64Array, t: number): Float64Array {
  const joints = a.map((value, i) => value + (b[i] - value) * t);
  // Of the rotations only the wrist's is used here.
  joints.set(rotations.slerp([a[3], a[4], a[5], a[6]], [b[3], b[4], b[5], b[6]], t), 3);
  return joints;
}
