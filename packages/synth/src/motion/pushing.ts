/** Flat hands that take hold of nothing: they push things, shut drawers, and slide over what stays shut. */
import { type HandSide, rotations } from '@dwm/renderer';
import { movedJoint, pushed, say, tipped, wayTo } from '../caption/words.ts';
import type { Random } from '../random.ts';
import { halfExtents, IN_PLACE, type Placement } from '../world/solid.ts';
import { findBody, firstPlace, type Grip, isJoint, placeAt, type World } from '../world/world.ts';
import {
  anySide,
  type HandsMotion,
  handOf,
  LIMP,
  mixEvenly,
  oneHand,
  outOf,
  restPlace,
  still,
} from './hand-motion.ts';
import { angles, OPEN } from './posture.ts';
import { boneFrame, type HandModel } from './skeleton.ts';
import { blend, minimumJerk, type Phase, shares, throughPlaces } from './timeline.ts';
import { touchNothing } from './touch-nothing.ts';
import { withdrawn, wristAt } from './wrist.ts';

const { add, direction, scale, subtract } = rotations;

export const push = (world: World, random: Random): HandsMotion => pushThing(world, false, random);
export const topple = (world: World, random: Random): HandsMotion => pushThing(world, true, random);

/** The hand, thumb up, pushes a loose thing to its goal, or high enough to tip it over. */
function pushThing(world: World, over: boolean, random: Random): HandsMotion {
  const body = findBody(world, world.actor);
  const from = firstPlace(body).position;
  const goal = world.goal!;
  const way = direction(subtract(goal, from))!;
  const side: HandSide = way[0] < 0 ? 'right' : 'left';
  const model = handOf(world, side, random);
  const { solids } = body;
  const top = Math.max(...solids.map(({ shape, position }) => position[1] + halfExtents(shape)[1]));
  const level = over ? Math.max(0.06, top * 0.9) : Math.max(0.052 * model.size, Math.min(0.07, top * 0.6));
  // Thumb up, the palm ahead.
  const forward = direction([way[0] * 0.35, -0.12, -1 + way[2] * 0.2])!;
  const rotation = boneFrame(forward, scale(way, -1));
  const grip: Grip = {
    point: [0, 0, 0],
    forward,
    roll: 'palm',
    up: scale(way, -1),
    posture: 'flat',
    radius: 0,
    solids,
  };
  const hold = (distance: number): Placement =>
    wristAt(
      model,
      { ...grip, point: add(add(from, [0, level, 0]), scale(way, distance)) },
      IN_PLACE,
      rotation,
    );
  const size = Math.max(
    ...solids.map(({ shape }) => Math.hypot(halfExtents(shape)[0], halfExtents(shape)[2])),
  );
  const reach = over ? 0.19 : rotations.length(subtract(goal, from));
  const start = -size - 0.03;
  const along = (u: number) => hold(start + (reach + 0.03) * minimumJerk(u));
  const first = along(0);
  const before = { ...first, position: add(first.position, [outOf(side) * 0.05, 0.06, 0.05]) };
  return {
    hands: oneHand(model, pushPhases(world, random, model, along, before)),
    caption: say([side], over ? tipped(body) : pushed(body, wayTo(from, goal))),
  };
}

/** The palm pushes the drawer in by its handle. */
export function pushDrawer(world: World, random: Random): HandsMotion {
  const body = findBody(world, world.actor);
  const { motion } = body;
  if (!isJoint(motion)) return touchNothing(world, random);
  const model = handOf(world, anySide(random), random);
  const forward = direction([-outOf(model.side) * random.uniform(0, 0.35), 1, -random.uniform(0.5, 1)])!;
  const handle = body.grips[0];
  const aside = random.uniform(-0.03, 0.03);
  const rotation = boneFrame(forward, [0, 0.2, 1]);
  const grip: Grip = { ...handle, posture: 'flat', radius: 0 };
  const palm = (gap: number) => (opening: number) => {
    const { position } = placeAt(body, opening);
    const shifted: Placement = { position: add(position, [aside, 0, gap]), rotation: [0, 0, 0, 1] };
    return wristAt(model, grip, shifted, rotation);
  };
  const ahead = handle.radius + 0.012;
  const along = (u: number) =>
    palm(ahead + 0.02 * (1 - u) - 0.008 * u)(motion.opening * (1 - minimumJerk(u)));
  return {
    hands: oneHand(model, pushPhases(world, random, model, along)),
    caption: say([model.side], movedJoint(body, false)),
  };
}

/** The palm slides over the front of what is shut, past its handle, and takes hold of nothing. */
export function graze(world: World, random: Random): HandsMotion {
  const body = findBody(world, world.actor);
  if (!isJoint(body.motion)) return touchNothing(world, random);
  const model = handOf(world, anySide(random), random);
  const out = outOf(model.side);
  const handle = random.pick(body.grips);
  const grip: Grip = { ...handle, posture: 'flat', radius: 0 };
  const place = firstPlace(body);
  const rotation = boneFrame(
    direction([-out * random.uniform(0.1, 0.5), 1, -random.uniform(0.5, 1)])!,
    [0, 0.2, 1],
  );
  const [from, to] = [random.uniform(0.03, 0.1), -random.uniform(0.03, 0.1)].map(
    (aside) => aside * random.sign(),
  );
  const lift = random.uniform(-0.02, 0.03);
  const along = (u: number): Placement => {
    const aside = from + (to - from) * minimumJerk(u);
    const shifted = { ...place, position: add(place.position, [aside, lift, handle.radius + 0.016]) };
    return wristAt(model, grip, shifted, rotation);
  };
  return {
    hands: oneHand(model, pushPhases(world, random, model, along)),
    caption: say([model.side], ['stroke', body.words]),
  };
}

/** Reach by way of `before`, push along `wristAlong`, and go back. */
function pushPhases(
  world: World,
  random: Random,
  model: HandModel,
  wristAlong: (u: number) => Placement,
  before = withdrawn(wristAlong(0), 0.04, 0.06),
): Phase[] {
  const [approach, , act] = shares(random);
  const pushing = act + 0.1;
  const rest = restPlace(world, model, random);
  const flat = angles('flat', OPEN);
  const [start, end] = [wristAlong(0), wristAlong(1)];
  const to = throughPlaces([rest, before, start], [0, 0.7, 1]);
  // Off the way it came, so that nothing is dragged along.
  const off = withdrawn(end, 0.02, 0.06);
  const away = throughPlaces([end, off, blend(off, rest, 0.7)], [0, 0.4, 1]);
  return [
    { share: approach, wrist: (u) => to(minimumJerk(u)), fingers: mixEvenly(LIMP, flat) },
    { share: pushing, wrist: wristAlong, fingers: still(flat), acts: true },
    { share: 1 - approach - pushing, wrist: (u) => away(minimumJerk(u)), fingers: mixEvenly(flat, LIMP) },
  ];
}
