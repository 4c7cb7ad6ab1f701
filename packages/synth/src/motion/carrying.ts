/** Loose things in hands: picked up, carried and put down, or poured from. */
import { type HandSide, rotations, SIDES, type Vec3 } from '@dwm/renderer';
import { lifted, pickedUp, poured, putDown, say, wayTo } from '../caption/words.ts';
import type { Random } from '../random.ts';
import { halfExtents, IN_PLACE, type Placement, placed, placePoint } from '../world/solid.ts';
import { type Body, findBody, firstPlace, type Grip, type World } from '../world/world.ts';
import { graspPhases, type Hold, takeHold } from './grasp.ts';
import { type HandsMotion, handOf, oneHand, outOf, still } from './hand-motion.ts';
import { angles, closeUntilContact, OPEN } from './posture.ts';
import type { HandModel } from './skeleton.ts';
import { minimumJerk, shares } from './timeline.ts';
import { wristAt } from './wrist.ts';

const { add, direction, scale, slerp, subtract } = rotations;

/** How far off a hand waits that wraps round what it takes, as `Hold.off`. */
const WRAPPING = [0.07, 0.055] as const;

/** One hand takes what has a grip; what has none takes two. */
export function carry(world: World, random: Random): HandsMotion {
  const body = findBody(world, world.actor);
  return body.grips.length > 0 ? carryWithOne(world, body, random) : carryWithBoth(world, body, random);
}

function carryWithOne(world: World, body: Body, random: Random): HandsMotion {
  const place = firstPlace(body);
  const goal = world.goal!;
  const side: HandSide = place.position[0] > 0 ? 'right' : 'left';
  const model = handOf(world, side, random);
  const grip = sideGrip(world, random.pick(body.grips), place, model, random);
  const wrist = wristAt(model, grip, IN_PLACE);
  const along = carriedBy(carryPath(place.position, goal, random), wrist);
  const { posture } = grip;
  const closure = closeUntilContact(model, wrist, posture, body.solids, place);
  const off = posture === 'wrap' ? WRAPPING : ([0.02, 0.07] as const);
  return {
    hands: oneHand(model, graspPhases(world, random, { model, posture, closure, off }, along)),
    caption: say([side], pickedUp(body), putDown(wayTo(place.position, goal))),
  };
}

/** Two flat hands press a thing from both sides and carry it together. */
function carryWithBoth(world: World, body: Body, random: Random): HandsMotion {
  const place = firstPlace(body);
  const goal = world.goal!;
  const [halfWidth, halfHeight] = halfExtents(body.solids[0].shape);
  const path = carryPath(place.position, goal, random);
  const { size } = handOf(world, 'right', random);
  const timing = shares(random);
  const hands = Object.fromEntries(
    SIDES.map((side) => {
      const out = outOf(side);
      const model: HandModel = { side, size };
      const grip: Grip = {
        point: add(place.position, [out * (halfWidth + 0.002), Math.max(halfHeight, 0.055), 0.01]),
        forward: direction([-out * 0.05, -0.1, -1])!,
        roll: 'palm',
        up: [out, 0, 0],
        posture: 'flat',
        radius: 0,
        solids: body.solids,
      };
      const wrist = wristAt(model, grip, IN_PLACE);
      const along = carriedBy(path, wrist);
      const hold: Hold = { model, posture: 'flat', closure: OPEN, off: [0.03, 0.06] };
      return [side, { model, phases: graspPhases(world, random, hold, along, timing) }];
    }),
  );
  return {
    hands,
    caption: say(SIDES, lifted(body), putDown(wayTo(place.position, goal))),
  };
}

/** Lift, bring it beside the goal, and tip it over. */
export function pour(world: World, random: Random): HandsMotion {
  const body = findBody(world, world.actor);
  const place = firstPlace(body);
  const from = place.position;
  const goal = world.goal!;
  const side: HandSide = from[0] > 0 ? 'right' : 'left';
  const model = handOf(world, side, random);
  const out = outOf(side);
  const grip = sideGrip(world, random.pick(body.grips), place, model, random);
  const wrist = wristAt(model, grip, IN_PLACE);
  const above: Vec3 = [
    goal[0] + out * random.uniform(0.1, 0.12),
    goal[1] + random.uniform(0.09, 0.12),
    goal[2],
  ];
  const tilt = out * random.uniform(1.8, 2.05);
  const path = (u: number): Placement => {
    const moved = minimumJerk(Math.min(1, u / 0.42));
    const lift = Math.min(1, moved * 1.6);
    const tipped = minimumJerk(Math.min(1, Math.max(0, (u - 0.26) / 0.44)));
    return {
      position: [
        from[0] + (above[0] - from[0]) * moved,
        from[1] + (above[1] - from[1]) * lift,
        from[2] + (above[2] - from[2]) * moved,
      ],
      rotation: rotations.fromAxisAngle([0, 0, tilt * tipped]),
    };
  };
  const along = carriedBy(path, wrist);
  const { posture, solids } = grip;
  const closure = closeUntilContact(model, wrist, posture, solids, place);
  const timing = shares(random);
  const [approach, close] = timing;
  const hold: Hold = { model, posture, closure, off: WRAPPING };
  return {
    hands: oneHand(model, [
      ...takeHold(world, random, hold, wrist, timing),
      {
        share: 1 - approach - close,
        wrist: along,
        fingers: still(angles(posture, closure)),
        acts: true,
      },
    ]),
    caption: say([side], poured(body)),
  };
}

/** Up, across and down: how a thing that stands at `from` is moved, and turned about the vertical. */
function carryPath(from: Vec3, goal: Vec3, random: Random): (u: number) => Placement {
  const height = random.uniform(0.07, 0.12);
  const turned = rotations.fromAxisAngle([0, random.uniform(-0.3, 0.3), 0]);
  return (u) => {
    const across = minimumJerk(Math.min(1, Math.max(0, (u - 0.12) / 0.76)));
    const rise = height * (1 - (2 * u - 1) ** 4) + 0.002 * u;
    return {
      position: add(from, add(scale(subtract(goal, from), across), [0, rise, 0])),
      rotation: slerp([0, 0, 0, 1], turned, across),
    };
  };
}

/** A wrist that goes with what it holds. */
const carriedBy = (path: (u: number) => Placement, wrist: Placement) => {
  const offset = { position: subtract(wrist.position, path(0).position), rotation: wrist.rotation };
  return (u: number) => placed(path(u), offset);
};

/** The grip turned so that the fingers come from the hand's own side, world axes. */
function sideGrip(world: World, grip: Grip, body: Placement, { side }: HandModel, random: Random): Grip {
  const point = placePoint(body, grip.point);
  if (grip.roll === 'palm') return { ...grip, point, forward: rotations.rotate(body.rotation, grip.forward) };
  const out = outOf(side);
  const shoulder = add(world.eye, [out * 0.18, 0, 0]);
  const towards = subtract(point, shoulder);
  const turn = rotations.fromAxisAngle([0, out * random.uniform(0.1, 0.45), 0]);
  const forward = rotations.rotate(turn, direction([towards[0], 0, towards[2]])!);
  return {
    ...grip,
    point,
    forward: direction(add(forward, [0, -random.uniform(0.05, 0.3), 0]))!,
    up: [0, 1, 0],
  };
}
